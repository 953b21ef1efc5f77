//! What a task gives back.

/// Whether all that was checked is right, or why it could not be checked.
pub(crate) type TaskResult = Result<bool, String>;
