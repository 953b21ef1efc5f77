//! Node with the libraries that the stories in JavaScript drive, in a directory of its own under target.

use std::path::{Path, PathBuf};

use crate::shell;

/// Where the libraries are and the scripts are run: everything is installed there that `tests/clients/node` asks for, in
/// the versions that its lock file names, which holds checksums and no addresses.
pub(crate) fn libraries() -> Result<PathBuf, String> {
    shell::install(&["node", "npm"], &["nodejs", "npm"])?;
    let directory = shell::target().join("node");
    let stamp = directory.join("package-lock-installed.json");
    let wanted = read("package-lock.json")?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(directory);
    }
    write(&directory.join("package.json"), &read("package.json")?)?;
    write(&directory.join("package-lock.json"), &wanted)?;
    let mut npm = shell::program(
        "npm",
        &["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
    );
    shell::run(npm.current_dir(&directory))?;
    write(&stamp, &wanted)?;
    Ok(directory)
}

fn read(name: &str) -> Result<String, String> {
    let path = shell::root().join("tests/clients/node").join(name);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let directory = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
