//! Builds the server and says where it is.

use std::path::PathBuf;

use crate::shell;

/// Builds rustredis, in release mode or as the tests want it: a little optimised and with debug assertions, which catch
/// a handler that reaches for a key outside its plan.
pub(crate) fn server(is_release: bool) -> Result<PathBuf, String> {
    let (profile, directory) = if is_release { ("release", "release") } else { ("test", "debug") };
    build("rustredis", profile)?;
    let path = shell::target().join(directory).join("rustredis");
    if path.is_file() { Ok(path) } else { Err(format!("cargo built no {}", path.display())) }
}

/// Builds rustredis with the faults that a test is to find, away from the one without, and without what makes a release slow to build.
pub(crate) fn server_with_faults() -> Result<PathBuf, String> {
    let target = shell::target().join("seeded-faults");
    let arguments =
        ["build", "--quiet", "--package", "rustredis", "--release", "--features", "seeded-faults"];
    let mut cargo = shell::cargo(&arguments);
    cargo.env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    shell::run(&mut cargo)?;
    let path = target.join("release/rustredis");
    if path.is_file() { Ok(path) } else { Err(format!("cargo built no {}", path.display())) }
}

/// Builds the lab, in release mode.
pub(crate) fn lab() -> Result<PathBuf, String> {
    build("rustredis-lab", "release")?;
    let path = shell::target().join("release/rustredis-lab");
    if path.is_file() { Ok(path) } else { Err(format!("cargo built no {}", path.display())) }
}

/// Builds the library that a server is preloaded with to see what a power cut would leave, beside the server of the tests.
pub(crate) fn power_cut_library() -> Result<PathBuf, String> {
    build("rustredis-powercut", "test")?;
    let path = shell::target().join("debug/librustredis_powercut.so");
    if path.is_file() { Ok(path) } else { Err(format!("cargo built no {}", path.display())) }
}

fn build(package: &str, profile: &str) -> Result<(), String> {
    shell::run(&mut shell::cargo(&["build", "--quiet", "--package", package, "--profile", profile]))
}
