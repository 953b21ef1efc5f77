//! Writing a file anew.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file anew, so that a crash leaves the old one or the new one. What the old one's rights were the new one's are.
///
/// # Errors
/// It cannot be written; the old one is as it was.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new_path = path.with_file_name(format!("{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&new_path)?;
        if let Ok(metadata) = fs::metadata(path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new_path, path)
    })();
    if written.is_err() {
        // Nobody else knows of it.
        let _ = fs::remove_file(&new_path);
        return written;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
