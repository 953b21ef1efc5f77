//! Which seat of an engine's gate the calling thread has.
//!
//! A thread gets a seat with its first hold and leaves it to others when it ends. Tests and the lab have several engines in one process, so
//! the thread remembers whose seat it used last, and has a list of the others.

use std::cell::{Cell, RefCell};
use std::ptr;

use crate::gate::{Gate, Seat};
use crate::sync::Arc;

/// The seats of a thread, by the engine's number.
struct Mine(Vec<(u64, Arc<Seat>)>);

impl Drop for Mine {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, seat)| seat.give_back());
    }
}

thread_local! {
    static LAST: Cell<(u64, *const Seat)> = const { Cell::new((0, ptr::null())) };
    static MINE: RefCell<Mine> = const { RefCell::new(Mine(Vec::new())) };
}

/// The calling thread's seat at the gate of the engine with this number, which is not 0.
#[inline]
pub(crate) fn mine(engine: u64, gate: &Gate) -> &Seat {
    let (last, seat) = LAST.get();
    let seat = if last == engine { seat } else { find(engine, gate) };
    // SAFETY: the gate keeps its seats for as long as it lives, and numbers of engines are not used twice.
    unsafe { &*seat }
}

#[cold]
fn find(engine: u64, gate: &Gate) -> *const Seat {
    let seat = MINE.with_borrow_mut(|Mine(seats)| {
        let known = seats.iter().find(|(of, _)| *of == engine).map(|(_, seat)| seat.clone());
        known.unwrap_or_else(|| {
            let seat = gate.seat();
            seats.push((engine, seat.clone()));
            seat
        })
    });
    let seat = Arc::as_ptr(&seat);
    LAST.set((engine, seat));
    seat
}
