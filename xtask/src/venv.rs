//! Python with what a step needs, in an environment of its own under target.

use std::path::PathBuf;

use crate::shell;

/// The python of the virtual environment `name`, in which everything is installed that the file `requirements` asks for.
pub(crate) fn python(name: &str, requirements: &str) -> Result<PathBuf, String> {
    let environment = shell::target().join(name);
    let python = environment.join("bin/python");
    let requirements = shell::root().join(requirements);
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|error| format!("{}: {error}", requirements.display()))?;
    let stamp = environment.join("requirements-installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.is_file() {
        return Ok(python);
    }
    let create =
        || shell::succeeds(shell::program("python3", &["-m", "venv"]).arg(&environment)).unwrap_or(false);
    if !shell::is_installed("python3") || !create() {
        shell::install_packages(&["python3", "python3-venv"])?;
        if !create() {
            return Err(format!("cannot create the virtual environment {}", environment.display()));
        }
    }
    let mut pip =
        shell::program(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    shell::run(pip.arg(&requirements))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}
