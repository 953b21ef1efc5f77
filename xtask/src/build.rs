//! Builds the server and says where it is.

use std::path::PathBuf;

use crate::shell;

/// Builds rustredis, in release mode or as the tests want it: a little optimised and with debug assertions, which catch
/// a handler that reaches for a key outside its plan.
pub(crate) fn server(is_release: bool) -> Result<PathBuf, String> {
    let (profile, directory) = if is_release { ("release", "release") } else { ("test", "debug") };
    shell::run(&mut shell::cargo(&["build", "--quiet", "--package", "rustredis", "--profile", profile]))?;
    let path = shell::target().join(directory).join("rustredis");
    if path.is_file() { Ok(path) } else { Err(format!("cargo built no {}", path.display())) }
}
