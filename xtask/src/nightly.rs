//! What only the nightly compiler can do: interpret tests under Miri, and build with a sanitizer.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::shell;

/// The only target whose sanitizers are used, which std is built for.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The nightly cargo. It is found by rustup's proxy, so not by the path of the cargo that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = shell::program("cargo", &["+nightly"]);
    command.args(arguments);
    // Set by the stable cargo for its children.
    command.env_remove("RUSTC").env_remove("RUSTDOC").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

/// Whether the nightly cargo is here.
pub(crate) fn is_installed() -> bool {
    answers(&["--version"])
}

/// Whether the nightly cargo has Miri.
pub(crate) fn has_miri() -> bool {
    answers(&["miri", "--version"])
}

fn answers(arguments: &[&str]) -> bool {
    let mut command = cargo(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether std can be built from its sources.
pub(crate) fn has_std_sources() -> bool {
    let sysroot = shell::capture(&mut shell::program("rustc", &["+nightly", "--print", "sysroot"]));
    sysroot
        .is_ok_and(|sysroot| PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/std").is_dir())
}

/// Tests of one package.
pub(crate) struct Part {
    pub(crate) package: &'static str,
    /// Parts of the tests' names; none for all of them.
    pub(crate) tests: &'static [&'static str],
    /// Parts of the names of those that are left out, each for the reason that its table gives.
    pub(crate) without: &'static [&'static str],
}

impl Part {
    /// The arguments behind `cargo test` that run it.
    pub(crate) fn arguments(&self) -> Vec<&'static str> {
        let mut arguments = vec!["--package", self.package, "--lib", "--"];
        arguments.extend(self.tests);
        arguments.extend(self.without.iter().flat_map(|name| ["--skip", name]));
        arguments
    }
}
