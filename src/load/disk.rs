//! Files as they lie on disk.

use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::source::{Files, NOT_UTF8};

/// The files of this machine, relative paths from the working directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        let bytes = std::fs::read(path).map_err(|error| reason(&error))?;
        String::from_utf8(bytes).map_err(|_| NOT_UTF8.to_owned())
    }

    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, String> {
        let mut found = vec![PathBuf::new()];
        let parts: Vec<Component> = pattern.components().collect();
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            let Some(name) = part.as_os_str().to_str().filter(|name| wild(name)) else {
                found.iter_mut().for_each(|path| path.push(part));
                found.retain(|path| path.as_os_str().is_empty() || path.exists());
                continue;
            };
            // A folder may really be called `a[b]`.
            let (literal, open): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| path.join(name).exists());
            found = literal.into_iter().map(|path| path.join(name)).collect();
            match name {
                "**" => {
                    for path in open {
                        folders_below(&path, &mut found)?;
                    }
                }
                _ => {
                    let pattern = Pattern::new(name).map_err(|error| error.msg.to_owned())?;
                    for folder in open {
                        let entries = entries(&folder)?;
                        found.extend(
                            entries.into_iter().filter(|path| matches(&pattern, path) && (last || path.is_dir())),
                        );
                    }
                }
            }
        }
        found.retain(|path| path.is_file());
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
    }
}

/// What stands in a folder, hidden entries left out, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error: io::Error| format!("cannot read the folder `{}`: {}", here.display(), reason(&error));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(here).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            paths.push(folder.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

/// `folder` and the folders below it; symbolic links are not followed.
fn folders_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    found.push(folder.to_path_buf());
    for path in entries(folder)? {
        if path.is_dir() && !path.is_symlink() {
            folders_below(&path, found)?;
        }
    }
    Ok(())
}

/// The folders in `folder` that a wildcard means.
pub(super) fn folders_of(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // What cannot be read has none.
    if name == "**" {
        let _ = folders_below(folder, &mut found);
    } else if let Ok(pattern) = Pattern::new(name) {
        found = entries(folder).unwrap_or_default();
        found.retain(|path| matches(&pattern, path) && path.is_dir());
    }
    found
}

pub(super) fn wild(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Wildcards stay within a name, and do not match its leading dot.
pub(super) const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

fn matches(pattern: &Pattern, path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| pattern.matches_with(name, MATCH))
}

/// Why a file cannot be read, in words for a message.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_find_files_in_order_and_leave_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["b.gw", "a.gw", ".hidden.gw", "note.txt", "sub/c.gw", "sub/deep/d.gw", "odd[1]/e.gw"] {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), "").unwrap();
        }
        let glob = |pattern: &str| DiskFiles.glob(&at(pattern)).unwrap();
        assert_eq!(glob("*.gw"), [at("a.gw"), at("b.gw")]);
        assert_eq!(glob("**/*.gw"), [at("a.gw"), at("b.gw"), at("odd[1]/e.gw"), at("sub/c.gw"), at("sub/deep/d.gw")]);
        assert_eq!(glob("odd[1]/?.gw"), [at("odd[1]/e.gw")]);
        assert_eq!(glob("sub/c.gw"), [at("sub/c.gw")]);
        assert_eq!(glob("sub/x.gw"), Vec::<PathBuf>::new());
        assert_eq!(glob("s*"), Vec::<PathBuf>::new(), "folders are no files");
    }

    #[test]
    fn one_file_has_one_identity() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.gw"), "").unwrap();
        let (direct, around) = (dir.path().join("a.gw"), dir.path().join(".").join("a.gw"));
        assert_eq!(DiskFiles.identity(&direct), DiskFiles.identity(&around));
    }

    #[test]
    fn why_a_file_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("latin1.gw"), b"# caf\xe9").unwrap();
        assert_eq!(DiskFiles.read(&dir.path().join("none.gw")), Err("there is no such file".to_owned()));
        assert_eq!(DiskFiles.read(&dir.path().join("latin1.gw")), Err(NOT_UTF8.to_owned()));
        assert_eq!(DiskFiles.read(dir.path()), Err("it is a folder".to_owned()));
    }
}
