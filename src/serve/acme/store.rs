//! The account and the certificates of one CA on disk.
//!
//! `STORE/CA/account.json`, and for each name `NAME.pem` (key and chain in one file, so that they are one another's),
//! `NAME.lock`, which whoever orders holds: processes that share the folder order once; and `NAME.failures`.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often somebody else's lock is tried.
const LOCK_TICK: Duration = Duration::from_millis(250);

/// The folder of one CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Store {
    folder: PathBuf,
}

/// Held by whoever orders, until it is dropped or its process ends.
pub(super) struct Lock {
    _file: File,
}

impl Store {
    /// To look at what is there.
    pub fn at(root: &Path, directory: &str) -> Store {
        Store { folder: root.join(folder_name(directory)) }
    }

    /// Makes the folder if it is not there, and makes sure that it can be written. The error is a sentence.
    pub fn open(root: &Path, directory: &str) -> Result<Store, String> {
        let store = Store::at(root, directory);
        let failed = |error: io::Error| {
            format!(
                "cannot keep certificates in `{}`: {}; give the user that runs gw a folder that it can write: \
                 `acme {{ store \"DIR\" }}`, or `StateDirectory=gw` of systemd",
                root.display(),
                reason(&error)
            )
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&store.folder).map_err(failed)?;
        let mode = std::fs::metadata(&store.folder).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(folder = %store.folder.display(), "others can read the folder of the private keys; `chmod 700` it");
        }
        let probe = store.temporary("probe");
        let written = store.create(&probe).and_then(|mut file| file.write_all(b"gw"));
        let removed = std::fs::remove_file(&probe);
        written.and(removed).map_err(failed)?;
        Ok(store)
    }

    /// The certificate of a name; none if there is no file. The error is a sentence.
    pub fn certificate(&self, name: &str) -> Result<Option<String>, String> {
        self.read(&format!("{name}.pem"))
    }

    /// Keeps the certificate of a name.
    pub fn keep_certificate(&self, name: &str, pem: &str) -> Result<(), String> {
        self.write(&format!("{name}.pem"), pem)
    }

    /// The account; none if there is no file.
    pub fn account(&self) -> Result<Option<String>, String> {
        self.read("account.json")
    }

    /// Keeps the account.
    pub fn keep_account(&self, json: &str) -> Result<(), String> {
        self.write("account.json", json)
    }

    /// The CA does not know the account: it is put aside.
    pub fn forget_account(&self) -> Result<(), String> {
        let path = self.folder.join("account.json");
        std::fs::rename(&path, self.folder.join("account.json.unknown"))
            .map_err(|error| format!("cannot put `{}` aside: {}", path.display(), reason(&error)))
    }

    /// How often the CA said no since the last certificate, and when it did so last.
    pub fn failures(&self, name: &str) -> Option<(u32, SystemTime)> {
        let text = self.read(&format!("{name}.failures")).ok()??;
        let (count, at) = text.trim().split_once(' ')?;
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at.parse().ok()?))?;
        Some((count.parse().ok()?, at))
    }

    /// Where that is remembered.
    pub fn failures_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.failures"))
    }

    /// Remembers it: a gateway that is started again and again would ask too often. None since the last: forgets it.
    pub fn keep_failures(&self, name: &str, count: u32) -> Result<(), String> {
        if count == 0 {
            // There is none, mostly.
            let _ = std::fs::remove_file(self.failures_file(name));
            return Ok(());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.write(&format!("{name}.failures"), &format!("{count} {}\n", now.as_secs()))
    }

    /// The right to order what is called `name`; waits for whoever has it. The error is a sentence.
    pub async fn lock(&self, name: &str) -> Result<Lock, String> {
        let path = self.folder.join(format!("{name}.lock"));
        let failed = |error: &io::Error| format!("cannot lock `{}`: {}", path.display(), reason(error));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| failed(&error))?;
        let mut waits = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
                Err(TryLockError::WouldBlock) => {
                    if !waits {
                        tracing::info!(lock = %path.display(), "another gateway orders: waiting for it");
                    }
                    waits = true;
                    tokio::time::sleep(LOCK_TICK).await;
                }
            }
        }
    }

    fn read(&self, file: &str) -> Result<Option<String>, String> {
        let path = self.folder.join(file);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read `{}`: {}", path.display(), reason(&error))),
        }
    }

    /// Whole or not at all: written beside it, and renamed once it is on the disk.
    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let (path, beside) = (self.folder.join(file), self.temporary(file));
        let write = || {
            let mut new = self.create(&beside)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&beside, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| {
            // There may be none.
            let _ = std::fs::remove_file(&beside);
            format!("cannot write `{}`: {}", path.display(), reason(&error))
        })
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        // One of the same name is left of a process that ended while it wrote.
        let _ = std::fs::remove_file(path);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    fn temporary(&self, file: &str) -> PathBuf {
        self.folder.join(format!(".{file}.{}", std::process::id()))
    }
}

/// The folder of a CA, named after its directory's URL.
fn folder_name(directory: &str) -> String {
    let name = directory.strip_prefix("https://").unwrap_or(directory);
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    name.trim_matches('.').to_owned()
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "it is not a folder".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "https://127.0.0.1:14000/dir";

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_only_its_owner_can_read() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("new/acme"), CA).unwrap();
        let folder = root.path().join("new/acme/127.0.0.1_14000_dir");
        assert_eq!(store.certificate("shop.example"), Ok(None));
        for pem in ["first", "second"] {
            store.keep_certificate("shop.example", pem).unwrap();
            assert_eq!(store.certificate("shop.example"), Ok(Some(pem.to_owned())));
        }
        store.keep_account("{}").unwrap();
        assert_eq!(mode(&folder), 0o700);
        let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 2, "nothing else is left: {entries:?}");
        entries.iter().for_each(|path| assert_eq!(mode(path), 0o600, "{}", path.display()));
        store.keep_failures("shop.example", 3).unwrap();
        let (count, at) = store.failures("shop.example").unwrap();
        assert!(count == 3 && at.elapsed().unwrap() < Duration::from_secs(60));
        store.keep_failures("shop.example", 0).unwrap();
        assert_eq!(store.failures("shop.example"), None);
        store.forget_account().unwrap();
        assert_eq!(store.account(), Ok(None));
    }

    #[test]
    fn a_folder_that_cannot_be_written_says_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Store::open(&file, CA).unwrap_err();
        assert!(error.contains("it is not a folder") && error.contains("store \"DIR\""), "{error}");
        // Root may write everywhere but here.
        let error = Store::open(Path::new("/proc/acme"), CA).unwrap_err();
        assert!(error.starts_with("cannot keep certificates in `/proc/acme`"), "{error}");
    }

    #[test]
    fn one_orders_at_a_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let root = tempfile::tempdir().unwrap();
            let (one, other) = (Store::open(root.path(), CA).unwrap(), Store::open(root.path(), CA).unwrap());
            let lock = one.lock("shop.example").await.unwrap();
            let _elsewhere = one.lock("other.example").await.unwrap();
            let waiting = other.lock("shop.example");
            let mut waiting = std::pin::pin!(waiting);
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut waiting).await.is_err());
            drop(lock);
            assert!(tokio::time::timeout(Duration::from_secs(10), &mut waiting).await.unwrap().is_ok());
        });
    }

    #[test]
    fn each_ca_has_its_folder() {
        for (directory, wanted) in [
            ("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org_directory"),
            ("https://[::1]:9/../x?y", "___1__9_.._x_y"),
            ("https://..", ""),
        ] {
            assert_eq!(folder_name(directory), wanted);
        }
    }
}
