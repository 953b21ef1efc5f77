//! Publishing, over blocks that know whether they are freed.

pub(crate) mod sync {
    pub(crate) use super::super::sync::{
        AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard, fence, yield_now,
    };
}

#[path = "../../../keyspace/src/prefetch.rs"]
mod prefetch;
#[path = "../../../keyspace/src/published/mod.rs"]
pub(crate) mod published;
#[path = "../../../keyspace/src/slot.rs"]
mod slot;

pub(crate) mod hashing {
    pub(crate) use rustredis_keyspace::hashing::key_hash;
}

pub(crate) mod key {
    pub(crate) use rustredis_keyspace::Key;
}

/// An entry as publishing knows it: a block with a key and a value, which is freed with its last owner.
pub(crate) mod entry {
    use std::cell::RefCell;

    use super::super::sync::Cell;

    /// So many that each change has what was retired freed, if nobody reads, and the second has its writer wait for the readers.
    const BYTES: usize = 3 << 20;

    #[repr(align(8))]
    struct Block {
        key: [u8; 1],
        value: Cell,
    }

    #[allow(clippy::vec_box, reason = "their addresses are known")]
    type Blocks = Vec<Box<Block>>;

    thread_local! {
        static BLOCKS: RefCell<Blocks> = const { RefCell::new(Vec::new()) };
    }

    /// Gives back the memory of all blocks. To be called where a model begins: until then that of a block which was freed is not used again,
    /// so that a reader who comes too late is found.
    pub(crate) fn begin() {
        BLOCKS.take();
    }

    /// A block's owner.
    pub struct Entry {
        block: &'static Block,
        is_published: bool,
    }

    impl Entry {
        pub(crate) fn new(key: u8, value: u32) -> Self {
            let block = Box::new(Block { key: [key], value: Cell::new(0) });
            // The checkers take what a cell begins with as known to all.
            block.value.set(value);
            let address = std::ptr::from_ref(&*block);
            BLOCKS.with_borrow_mut(|blocks| blocks.push(block));
            // SAFETY: the box is kept until the model is over.
            Self { block: unsafe { &*address }, is_published: false }
        }

        pub(crate) unsafe fn from_block(block: *mut u8) -> Self {
            // SAFETY: it is a block, which is kept until the model is over.
            Self { block: unsafe { &*block.cast() }, is_published: true }
        }

        pub(crate) fn address(&self) -> *mut u8 {
            std::ptr::from_ref(self.block).cast_mut().cast()
        }

        pub(crate) fn key(&self) -> &[u8] {
            self.value();
            &self.block.key
        }

        pub(crate) fn value(&self) -> u32 {
            self.block.value.get()
        }

        pub(crate) fn is_published(&self) -> bool {
            self.is_published
        }

        pub(crate) fn set_published(&mut self) {
            self.is_published = true;
        }

        pub(crate) fn set_read_often(&self, _: bool) {}

        pub(crate) fn memory_bytes(&self) -> usize {
            BYTES
        }
    }

    impl Drop for Entry {
        fn drop(&mut self) {
            self.block.value.free();
        }
    }
}
