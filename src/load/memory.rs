//! Files in memory, for tests and for what runs without a disk.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use glob::Pattern;

use super::disk::{MATCH, wild};
use crate::source::{Files, NOT_UTF8};

/// Texts by path.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<PathBuf, String>,
}

impl MemoryFiles {
    /// Adds a file, or replaces its text.
    pub fn add(&mut self, path: impl AsRef<Path>, text: impl Into<String>) {
        self.files.insert(plain(path.as_ref()), text.into());
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.files.get(&plain(path)).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, String> {
        let pattern = plain(pattern);
        let text = pattern.to_str().ok_or(NOT_UTF8)?;
        if !wild(text) {
            return Ok(self.files.contains_key(&pattern).then_some(pattern).into_iter().collect());
        }
        let pattern = Pattern::new(text).map_err(|error| error.msg.to_owned())?;
        Ok(self.files.keys().filter(|path| pattern.matches_path_with(path, MATCH)).cloned().collect())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        plain(path)
    }
}

/// A path without `.` and, where it can be said, without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

impl<P: AsRef<Path>, T: Into<String>> FromIterator<(P, T)> for MemoryFiles {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(files: I) -> MemoryFiles {
        let mut memory = MemoryFiles::default();
        files.into_iter().for_each(|(path, text)| memory.add(path, text));
        memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_globs() {
        let files = MemoryFiles::from_iter([("a.gw", "1"), ("sub/b.gw", "2"), ("sub/c.gw", "3")]);
        assert_eq!(files.read(Path::new("./sub/../a.gw")).as_deref(), Ok("1"));
        assert!(files.read(Path::new("d.gw")).is_err());
        assert_eq!(files.glob(Path::new("sub/*.gw")).unwrap(), [PathBuf::from("sub/b.gw"), PathBuf::from("sub/c.gw")]);
        assert_eq!(files.glob(Path::new("*.gw")).unwrap(), [PathBuf::from("a.gw")]);
    }
}
