//! Another binary takes over without a connection lost: it is started with the very sockets that listen, and when it
//! serves, this process drains. If it does not come to that, nothing has happened.

use super::inherit::{READY, SERVES, name_of};
use super::service;
use super::sockets::Sockets;
use command_fds::{CommandFdExt, FdMapping};
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Numbers between the files that this process has open and those that the new one gets: what starts it needs some.
const GAP: RawFd = 256;

/// How this process was called, for the next.
pub struct Origin {
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
}

impl Origin {
    /// To be called early: later the file may have been replaced.
    pub fn of_this_process() -> std::io::Result<Origin> {
        let mut arguments = std::env::args_os();
        let called = arguments.next().map(PathBuf::from).unwrap_or_default();
        let own = std::env::current_exe()?;
        let folder = std::env::current_dir().ok();
        // A path with a link in it, such as `current/gw`, is to be followed anew. But anything may stand here: it counts
        // only if it leads to this binary.
        let found = found(&called, folder.as_deref()).filter(|path| is_same_file(path, &own));
        Ok(Origin { program: found.unwrap_or(own), arguments: arguments.collect(), folder })
    }
}

/// The file that a shell would start for this word.
fn found(called: &Path, folder: Option<&Path>) -> Option<PathBuf> {
    if called.components().count() > 1 {
        return Some(folder.map_or_else(|| called.to_path_buf(), |folder| folder.join(called)));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(called)).find(|path| path.is_file())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// A new process that does not serve yet. Dropped, it is ended.
pub struct Upgrade {
    process: Option<Child>,
    ready: tokio::net::UnixStream,
}

impl Upgrade {
    /// Starts the binary that is now where this one was. The error is a sentence.
    pub fn start(origin: &Origin, sockets: &Sockets) -> Result<Upgrade, String> {
        if ends_its_container() {
            return Err("its container would end with this process; replace the container".into());
        }
        let failed = |error: std::io::Error| format!("`{}` cannot be started: {error}", origin.program.display());
        let (ready, theirs) = UnixStream::pair().map_err(failed)?;
        ready.set_nonblocking(true).map_err(failed)?;
        let ready = tokio::net::UnixStream::from_std(ready).map_err(failed)?;
        let (mut names, mut fds) = (vec![READY.to_owned()], vec![OwnedFd::from(theirs)]);
        for bound in sockets.iter() {
            for socket in bound.sockets() {
                names.push(name_of(bound.address));
                fds.push(socket.try_clone().map_err(failed)?.into());
            }
        }
        let first = highest_open().max(fds.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(0)).saturating_add(GAP);
        let count = fds.len();
        let mapped = fds.into_iter().zip(first..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        let mut command = Command::new(&origin.program);
        command
            .args(&origin.arguments)
            .env("LISTEN_FDS", count.to_string())
            .env("LISTEN_FDS_FIRST_FD", first.to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env_remove("LISTEN_PID")
            // The watchdog is for whoever is the service.
            .env_remove("WATCHDOG_PID")
            .fd_mappings(mapped.collect())
            .map_err(|error| error.to_string())?;
        if let Some(folder) = &origin.folder {
            command.current_dir(folder);
        }
        let process = command.spawn().map_err(failed)?;
        Ok(Upgrade { process: Some(process), ready })
    }

    /// Waits until the new process serves, and gives its id. The error says why it does not; it has ended then.
    pub async fn serves(&mut self, patience: Duration) -> Result<u32, String> {
        let mut said = Vec::new();
        let read = async {
            while said != SERVES {
                match self.ready.read_buf(&mut said).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) if SERVES.starts_with(&said) => {}
                    Ok(_) => break,
                }
            }
        };
        let in_time = tokio::time::timeout(patience, read).await.is_ok();
        let Some(mut process) = self.process.take() else { return Err("it was ended".into()) };
        if said == SERVES {
            return Ok(process.id());
        }
        // It has ended, or it will not serve.
        let ended = match process.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ if in_time => {
                // It closes its files a moment before it ends.
                tokio::time::sleep(Duration::from_millis(200)).await;
                process.try_wait().transpose().unwrap_or_else(|| end(&mut process))
            }
            _ => end(&mut process),
        };
        match ended {
            _ if !in_time => Err(format!("it did not serve within {} s", patience.as_secs())),
            Ok(status) => Err(format!("it ended before it served ({status}); its own words are above")),
            Err(error) => Err(format!("it ended before it served ({error})")),
        }
    }
}

/// This is process 1, or the one process that a small process 1 waits for.
fn ends_its_container() -> bool {
    const INITS: [&str; 4] = ["tini", "docker-init", "dumb-init", "catatonit"];
    let init = || std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    std::process::id() == 1 || (std::os::unix::process::parent_id() == 1 && INITS.contains(&init().trim()))
}

fn end(process: &mut Child) -> std::io::Result<std::process::ExitStatus> {
    process.kill()?;
    process.wait()
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = end(&mut process);
        }
    }
}

/// The highest number of an open file.
fn highest_open() -> RawFd {
    let Ok(open) = std::fs::read_dir("/dev/fd") else { return 0 };
    open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max().unwrap_or(0)
}

/// The service manager knows of the new process before this one ends.
pub fn hand_over(process: u32) {
    tracing::info!(process, "the new process serves: this one drains");
    service::succeeded_by(process);
}
