//! The functions that clients have loaded: all libraries at a moment, never changed in place.

use std::sync::Arc;

use parking_lot::RwLock;
use rustredis_scripting::function::{Libraries, Library};
use rustredis_scripting::machine::{Limits, Machines};

use crate::scripts::loader;

/// All libraries.
#[derive(Default)]
pub struct Loaded(RwLock<Arc<Libraries>>);

impl Loaded {
    /// What is loaded now.
    pub fn now(&self) -> Arc<Libraries> {
        self.0.read().clone()
    }

    /// Loads a library, in the place of one of the same name if it `replaces`.
    ///
    /// # Errors
    /// The text of the error, if a library or a function has its name already.
    pub fn add(&self, library: Library, replaces: bool) -> Result<(), Vec<u8>> {
        let mut loaded = self.0.write();
        *loaded = Arc::new(loaded.with(library, replaces)?);
        Ok(())
    }

    /// Deletes a library; whether it was there.
    pub fn delete(&self, name: &[u8]) -> bool {
        let mut loaded = self.0.write();
        let Some(others) = loaded.without(name) else { return false };
        *loaded = Arc::new(others);
        true
    }

    /// Loads a library that a file holds, in the place of one of the same name if it `replaces`.
    ///
    /// # Errors
    /// The text of the error, if it is no library.
    pub fn load(&self, code: &[u8], limits: &Arc<Limits>, replaces: bool) -> Result<(), Vec<u8>> {
        let library = loader::read(&Machines::new(limits.clone()), code)?;
        self.add(library, replaces)
    }

    /// Puts others in the place of all.
    pub fn set(&self, libraries: Libraries) {
        *self.0.write() = Arc::new(libraries);
    }
}
