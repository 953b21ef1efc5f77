//! A figure that the kernel tells, looked up anew when it is older than a tenth of a second.
//!
//! Reading a file of `/proc` costs more than all else that INFO does, and who asks a thousand times a second sees nothing new in
//! each. Redis samples such figures ten times a second as well.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How old a figure may be.
const AGE_MAX: Duration = Duration::from_millis(100);

/// See the module's text.
pub struct Sampled<T>(Mutex<Option<(Instant, T)>>);

impl<T: Copy> Default for Sampled<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Sampled<T> {
    /// One that nobody has looked at.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The figure, from `look` if it is old.
    pub fn get(&self, look: impl FnOnce() -> T) -> T {
        let now = Instant::now();
        let mut sample = self.0.lock();
        match *sample {
            Some((at, value)) if now.duration_since(at) < AGE_MAX => value,
            _ => {
                let value = look();
                *sample = Some((now, value));
                value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_figure_is_not_looked_up_again() {
        let sampled = Sampled::new();
        assert_eq!(sampled.get(|| 1), 1);
        *sampled.0.lock() = Some((Instant::now() + AGE_MAX, 1));
        assert_eq!(sampled.get(|| 2), 1);
        *sampled.0.lock() = Some((Instant::now() - 2 * AGE_MAX, 1));
        assert_eq!(sampled.get(|| 3), 3);
    }
}
