//! A step: commands that are one to everybody else.
//!
//! What the commands of a step do is one unit of the journal, and who waits for what they made is served behind the last. Steps
//! nest, as a command that runs commands does within EXEC: the outermost end counts. A step is a guard, so a panic that passes
//! through leaves no depth behind: the thread goes on to serve others.

use std::cell::Cell;

/// How many steps a thread is in.
#[derive(Debug, Default)]
pub struct Steps {
    depth: Cell<u32>,
}

impl Steps {
    /// Begins a step, which ends with the guard. What it has gathered is still to be settled then.
    pub fn begin(&self) -> Step<'_> {
        self.depth.set(self.depth.get() + 1);
        Step(self)
    }

    /// Goes out of all steps, whose guards remain; how many they are.
    pub fn leave_all(&self) -> u32 {
        self.depth.replace(0)
    }

    /// Goes back into them.
    pub fn go_back(&self, depth: u32) {
        debug_assert_eq!(self.depth.get(), 0, "whoever had the thread meanwhile has ended his steps");
        self.depth.set(depth);
    }

    /// Whether the thread is in a step: nothing is committed, and nobody served.
    #[inline]
    pub fn is_inside(&self) -> bool {
        self.depth.get() > 0
    }
}

/// A step under way.
#[derive(Debug)]
pub struct Step<'s>(&'s Steps);

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.0.depth.set(self.0.depth.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_end_counts() {
        let steps = Steps::default();
        assert!(!steps.is_inside());
        let outer = steps.begin();
        drop(steps.begin());
        assert!(steps.is_inside());
        drop(outer);
        assert!(!steps.is_inside());
    }

    #[test]
    fn a_panic_leaves_no_depth_behind() {
        let steps = Steps::default();
        let outer = steps.begin();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _inner = steps.begin();
            let _innermost = steps.begin();
            panic!("a command has a bug");
        }));
        assert!(panicked.is_err() && steps.is_inside());
        drop(outer);
        assert!(!steps.is_inside());
    }
}
