//! The newest Valkey that Debian packages, for comparisons on a Debian that is older than it.
//!
//! The binary package of a newer Debian wants that one's C library, and installing it would pull half a system along. The source
//! package builds with what is here: the upstream tarball of unstable's is fetched with apt (so it is verified), built with the
//! allocator that it carries, and its server is put into `target/peers`. With that directory in PATH the lab finds it. The
//! mirror is the one that the machine's own sources name; lists and cache are private, so that the machine's stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::arguments::Arguments;
use crate::shell;
use crate::task_result::TaskResult;

const HELP: &str = "\
Usage: cargo xtask valkey [--suite SUITE]

  Fetches and builds the newest valkey-server that Debian packages (of sid, unless --suite names another) and
  puts it into target/peers. The lab measures it when that directory is in PATH.
";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let Some(arguments) = Arguments::parse(given, HELP, &["suite"], &[])? else { return Ok(true) };
    let peers = shell::target().join("peers");
    let work = peers.join(format!("fetch-{}", std::process::id()));
    let result = build(&peers, &work, arguments.value("suite").unwrap_or("sid"));
    // What was fetched is built or useless; a leftover costs only space.
    let _ = fs::remove_dir_all(&work);
    let server = result?;
    println!("{}", shell::capture(&mut shell::program(&server, &["--version"]))?.trim());
    println!("PATH={}:$PATH cargo run --release -p rustredis-lab -- peers", peers.display());
    Ok(true)
}

fn build(peers: &Path, work: &Path, suite: &str) -> Result<PathBuf, String> {
    shell::install(&["gcc", "make", "tar"], &["gcc", "make", "libc6-dev", "tar"])?;
    let tree = work.join("tree");
    for directory in ["lists/partial", "cache", "download", "parts", "tree"] {
        create(&work.join(directory))?;
    }
    let tarball = fetch(work, suite)?;
    let mut tar = shell::program("tar", &["--strip-components=1", "-xf"]);
    shell::run(tar.arg(tarball).arg("-C").arg(&tree))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options =
        [&format!("-j{cores}"), "BUILD_TLS=no", "USE_SYSTEMD=no", "MALLOC=jemalloc", "valkey-server"];
    let mut make = shell::program("make", &["-C"]);
    shell::run(make.arg(tree.join("src")).args(options).stdout(std::process::Stdio::null()))?;
    let server = peers.join("valkey-server");
    fs::copy(tree.join("src/valkey-server"), &server)
        .map_err(|error| format!("cannot write {}: {error}", server.display()))?;
    Ok(server)
}

/// The upstream tarball of the suite's source package.
fn fetch(work: &Path, suite: &str) -> Result<PathBuf, String> {
    let format = "$(REPO_URI) $(ORIGIN) $(LABEL)";
    let targets = ["indextargets", "--format", format, "Created-By: Packages"];
    let listed = shell::capture(&mut shell::program("apt-get", &targets))?;
    let mirror = mirror(&listed).ok_or("no Debian mirror is among the machine's apt sources")?;
    let option = if Path::new(KEYRING).is_file() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    let list = work.join("parts/suite.list");
    fs::write(&list, format!("deb-src {option}{mirror} {suite} main\n"))
        .map_err(|error| format!("cannot write {}: {error}", list.display()))?;
    let download = work.join("download");
    let options = [
        "Dir::Etc::sourcelist=/dev/null".to_owned(),
        format!("Dir::Etc::sourceparts={}", work.join("parts").display()),
        format!("Dir::State::lists={}", work.join("lists").display()),
        format!("Dir::Cache={}", work.join("cache").display()),
        "APT::Sandbox::User=root".to_owned(),
    ];
    for task in [&["update"][..], &["source", "--download-only", "valkey"]] {
        let mut words = vec!["-q"];
        options.iter().for_each(|option| words.extend(["-o", option]));
        words.extend(task);
        shell::run(shell::program("apt-get", &words).current_dir(&download))?;
    }
    let files = fs::read_dir(&download).map_err(|error| format!("{}: {error}", download.display()))?;
    let tarball = files
        .flatten()
        .map(|file| file.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".orig.tar")));
    tarball.ok_or_else(|| format!("{suite} has no source package of valkey"))
}

/// The first of Debian's own archives in lines of a URI, an origin and a label; that of security updates has not all suites.
fn mirror(listed: &str) -> Option<&str> {
    listed.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let uri = words.next()?;
        (words.next() == Some("Debian") && words.next() == Some("Debian")).then_some(uri)
    })
}

fn create(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_debians_own() {
        let listed = "http://a/ Other Other\nhttp://b/ Debian Debian-Security\nhttp://c/ Debian Debian\n";
        assert_eq!(mirror(listed), Some("http://c/"));
        assert_eq!(mirror(""), None);
    }
}
