//! One machine word that owns one of several representations of a collection.
//!
//! A key's heap block keeps a collection as eight bytes, whatever its encoding: the small encoding is a
//! [`ThinPointer`] (a listpack), the large ones are boxes. The low two bits of the address, which every allocation
//! leaves zero, say which it is. The small encoding has tag 0, so that a reference to the word *is* a reference
//! to it and it may reallocate in place.
//!
//! A Rust enum of pointers would need sixteen bytes: 8 MB more for a million small hashes.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A `repr(transparent)` owning pointer whose address is a multiple of eight and never null.
///
/// # Safety
/// The implementor is eight bytes, its bits are such an address, and moving the bits moves the ownership.
pub unsafe trait ThinPointer: Sized {}

/// Eight bytes that own an `A` (tag 0), a boxed `B` (tag 1) or a boxed `C` (tag 2).
#[repr(transparent)]
pub struct Tagged<A: ThinPointer, B, C = Infallible> {
    bits: NonNull<u8>,
    owns: PhantomData<(A, Box<B>, Box<C>)>,
}

/// A shared look at what a [`Tagged`] holds.
pub enum Repr<'a, A, B, C = Infallible> {
    /// The compact encoding.
    First(&'a A),
    /// The first boxed encoding.
    Second(&'a B),
    /// The second boxed encoding.
    Third(&'a C),
}

/// An exclusive look at what a [`Tagged`] holds.
pub enum ReprMut<'a, A, B, C = Infallible> {
    /// The compact encoding.
    First(&'a mut A),
    /// The first boxed encoding.
    Second(&'a mut B),
    /// The second boxed encoding.
    Third(&'a mut C),
}

const TAG_MASK: usize = 0b11;

// SAFETY: a `Tagged` owns its parts exclusively, as a box would.
unsafe impl<A: ThinPointer + Send, B: Send, C: Send> Send for Tagged<A, B, C> {}
// SAFETY: as above; shared access gives only shared references to the parts.
unsafe impl<A: ThinPointer + Sync, B: Sync, C: Sync> Sync for Tagged<A, B, C> {}

impl<A: ThinPointer, B, C> Tagged<A, B, C> {
    const LAYOUT_OK: () = {
        assert!(size_of::<A>() == size_of::<usize>());
        assert!(align_of::<B>() > TAG_MASK || size_of::<B>() == 0);
        assert!(align_of::<C>() > TAG_MASK || size_of::<C>() == 0);
    };

    /// Owns the compact encoding.
    pub fn first(value: A) -> Self {
        const { Self::LAYOUT_OK };
        let value = std::mem::ManuallyDrop::new(value);
        // SAFETY: `ThinPointer` promises eight bytes that are a non-null address.
        let bits = unsafe { std::mem::transmute_copy::<A, NonNull<u8>>(&value) };
        debug_assert_eq!(bits.as_ptr() as usize & TAG_MASK, 0);
        Self { bits, owns: PhantomData }
    }

    /// Owns the first boxed encoding.
    pub fn second(value: Box<B>) -> Self {
        Self::boxed(NonNull::from(Box::leak(value)).cast(), 1)
    }

    /// Owns the second boxed encoding.
    pub fn third(value: Box<C>) -> Self {
        Self::boxed(NonNull::from(Box::leak(value)).cast(), 2)
    }

    fn boxed(pointer: NonNull<u8>, tag: usize) -> Self {
        const { Self::LAYOUT_OK };
        Self { bits: pointer.map_addr(|address| address | tag), owns: PhantomData }
    }

    fn tag(&self) -> usize {
        self.bits.as_ptr() as usize & TAG_MASK
    }

    fn pointer<T>(&self) -> *mut T {
        self.bits.as_ptr().map_addr(|address| address & !TAG_MASK).cast()
    }

    /// Which encoding it is, to read.
    pub fn get(&self) -> Repr<'_, A, B, C> {
        // SAFETY: the tag says which type the pointer owns; tag 0 means the word itself is an `A`.
        unsafe {
            match self.tag() {
                0 => Repr::First(&*std::ptr::from_ref(self).cast::<A>()),
                1 => Repr::Second(&*self.pointer::<B>()),
                _ => Repr::Third(&*self.pointer::<C>()),
            }
        }
    }

    /// Which encoding it is, to change.
    pub fn get_mut(&mut self) -> ReprMut<'_, A, B, C> {
        // SAFETY: as in `get`, and `self` is borrowed exclusively.
        unsafe {
            match self.tag() {
                0 => ReprMut::First(&mut *std::ptr::from_mut(self).cast::<A>()),
                1 => ReprMut::Second(&mut *self.pointer::<B>()),
                _ => ReprMut::Third(&mut *self.pointer::<C>()),
            }
        }
    }
}

impl<A: ThinPointer, B, C> Drop for Tagged<A, B, C> {
    fn drop(&mut self) {
        // SAFETY: the tag says which type the word owns, and it is dropped once.
        unsafe {
            match self.tag() {
                0 => std::ptr::drop_in_place(std::ptr::from_mut(self).cast::<A>()),
                1 => drop(Box::from_raw(self.pointer::<B>())),
                _ => drop(Box::from_raw(self.pointer::<C>())),
            }
        }
    }
}
