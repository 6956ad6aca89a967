//! A process takes over from another, ends, and is told of by a service manager.

use super::support::*;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "listen http LISTEN\nroute GET /n -> respond 200 text \"1\"\n";

/// A gateway whose binary is `gw` in its own folder, and may be replaced.
fn replaceable(program: &str) -> Gateway {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("gw");
    put_binary(&binary);
    Gateway::start(program, dir, Command::new(binary), &[])
}

fn put_binary(at: &Path) {
    let new = at.with_extension("new");
    if std::fs::hard_link(env!("CARGO_BIN_EXE_gw"), &new).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_gw"), &new).unwrap();
    }
    std::fs::rename(new, at).unwrap();
}

fn put_script(at: &Path, text: &str) {
    let new = at.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(new, at).unwrap();
}

#[test]
fn a_new_binary_takes_over_without_a_failed_request() {
    let mut gateway = replaceable(PROGRAM);
    let load = Load::on(gateway.address, "/n", 2);
    load.await_requests(50);
    put_binary(&gateway.path("gw"));
    gateway.signal("-USR2");
    gateway.await_log_times("\"message\":\"ready\"", 2);
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    load.await_requests(50);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{tally:?}");
    let [old, new] = gateway.processes()[..] else { panic!("{}", gateway.log()) };
    assert_ne!(old, new);
    // The third has the sockets of the first.
    assert!(Command::new("kill").args(["-USR2", &new.to_string()]).status().unwrap().success());
    gateway.await_log_times("\"message\":\"drained\"", 2);
    gateway.await_log_times("\"message\":\"ready\"", 3);
    assert_eq!(gateway.get("/n").text(), "1");
    assert_eq!(gateway.processes().len(), 3);
}

#[test]
fn a_new_binary_that_does_not_serve_changes_nothing() {
    let gateway = replaceable(PROGRAM);
    let load = Load::on(gateway.address, "/n", 1);
    put_script(&gateway.path("gw"), "#!/bin/sh\necho broken >&2\nexit 3\n");
    gateway.signal("-USR2");
    let log = gateway.await_log("no new process: it ended before it served (exit status: 3)");
    assert!(log.contains("broken"), "{log}");
    put_script(&gateway.path("gw"), "no program\n");
    gateway.signal("-USR2");
    gateway.await_log_times("no new process", 2);
    std::fs::remove_file(gateway.path("gw")).unwrap();
    gateway.signal("-USR2");
    gateway.await_log("cannot be started: No such file or directory");
    // A good binary, and a program that the new process refuses.
    put_binary(&gateway.path("gw"));
    gateway.replace("gateway.gw", "listen http LISTEN\nroute GET /n -> nobody\n");
    gateway.await_log("not reloaded");
    gateway.signal("-USR2");
    gateway.await_log("no new process: it ended before it served (exit status: 1)");
    load.await_requests(20);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert_eq!(gateway.processes().len(), 1);
}

/// More workers than sockets that were handed over, and fewer.
#[test]
fn the_number_of_workers_may_change() {
    for workers in [5, 1] {
        let gateway = replaceable(PROGRAM);
        let load = Load::on(gateway.address, "/n", 2);
        load.await_requests(50);
        let real = env!("CARGO_BIN_EXE_gw");
        put_script(
            &gateway.path("gw"),
            &format!("#!/bin/sh\nexec '{real}' serve gateway.gw --workers {workers} --log-format json\n"),
        );
        gateway.signal("-USR2");
        gateway.await_log("\"message\":\"drained\"");
        gateway.await_log_times("\"message\":\"ready\"", 2);
        assert_eq!(threads(gateway.processes()[1], "gw-worker-"), workers);
        load.await_requests(100);
        let tally = load.stop();
        assert!(tally.failed.is_empty() && tally.again == 0, "{tally:?}");
    }
}

/// A new process that is stuck, and one that takes over while requests are in flight.
#[test]
fn requests_in_flight_end_with_the_old_process() {
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let (arrived, go) = (std::sync::Mutex::new(arrived), std::sync::Arc::new(std::sync::Barrier::new(2)));
    let late = go.clone();
    let server = Server::answering(move |_| {
        arrived.lock().unwrap().send(()).unwrap();
        late.wait();
        ok("late")
    });
    let program =
        format!("listen http LISTEN\nroute ANY /slow -> {}\nroute GET /n -> respond 200 text \"1\"\n", server.url());
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("gw");
    put_binary(&binary);
    let mut gateway = Gateway::start(&program, dir, Command::new(binary), &["--upgrade", "1s"]);
    let mut client = gateway.connect();
    client.send(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
    arrivals.recv_timeout(PATIENCE).unwrap();
    put_script(&gateway.path("gw"), "#!/bin/sh\nexec sleep 1000\n");
    gateway.signal("-USR2");
    gateway.await_log("no new process: it did not serve within 1 s");
    put_binary(&gateway.path("gw"));
    gateway.signal("-USR2");
    gateway.await_log("draining");
    assert_eq!(gateway.get("/n").text(), "1");
    go.wait();
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("late", Some("close")));
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    assert_eq!(gateway.get("/n").text(), "1");
}

/// What systemd does: a socket in place, and one to be told on.
struct Manager {
    dir: tempfile::TempDir,
    told: UnixDatagram,
}

impl Manager {
    fn new() -> Manager {
        let dir = tempfile::tempdir().unwrap();
        let told = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager { dir, told }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
        command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        command
    }

    #[track_caller]
    fn heard(&self) -> String {
        let mut bytes = [0; 1024];
        let length = self.told.recv(&mut bytes).expect("nothing was told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

#[test]
fn a_service_manager_is_told() {
    let manager = Manager::new();
    let mut command = manager.command();
    command.env("WATCHDOG_USEC", "2000000");
    let mut gateway = Gateway::start(PROGRAM, tempfile::tempdir().unwrap(), command, &[]);
    assert_eq!(manager.heard(), "READY=1\nSTATUS=serving 1 routes\n");
    gateway.signal("-HUP");
    let reloading = manager.heard();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert!(manager.heard().starts_with("READY=1\n"));
    assert_eq!(manager.heard(), "WATCHDOG=1\n");
    gateway.signal("-USR2");
    let main = loop {
        let heard = manager.heard();
        if heard != "WATCHDOG=1\n" {
            break heard;
        }
    };
    gateway.await_log_times("\"message\":\"ready\"", 2);
    let [_, new] = gateway.processes()[..] else { panic!("{}", gateway.log()) };
    assert!(main.starts_with(&format!("MAINPID={new}\nREADY=1\n")), "{main}");
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    // The new one feeds the watchdog, and is the only one that says that it stops.
    assert_eq!(manager.heard(), "WATCHDOG=1\n");
    assert!(Command::new("kill").args(["-TERM", &new.to_string()]).status().unwrap().success());
    let stopping = loop {
        let heard = manager.heard();
        if heard != "WATCHDOG=1\n" {
            break heard;
        }
    };
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
}

#[test]
fn sockets_that_are_passed_are_listened_on() {
    use command_fds::{CommandFdExt, FdMapping};
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [by_address, by_name, unwanted] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
    let fds =
        sockets.into_iter().zip(3..).map(|(socket, child_fd)| FdMapping { parent_fd: OwnedFd::from(socket), child_fd });
    command
        .env("LISTEN_FDS", "3")
        .env("LISTEN_FDNAMES", "gw.socket:public:gw.socket")
        .fd_mappings(fds.collect())
        .unwrap();
    let program = format!(
        "listen http LISTEN\nlisten http {by_address}\nlisten public http 127.0.0.1:1\nroute GET /n -> respond 200 text \"1\"\n"
    );
    let gateway = Gateway::start(&program, tempfile::tempdir().unwrap(), command, &[]);
    for address in [gateway.address, by_address, by_name] {
        // Both workers accept from each.
        let mut clients: Vec<_> = (0..4).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
            assert_eq!(client.answer().text(), "1");
        }
    }
    gateway.await_log(&format!("no listener wants the socket `gw.socket` ({unwanted})"));
    assert!(std::net::TcpStream::connect(unwanted).is_err());
}

#[test]
fn check_says_whether_it_could_be_served() {
    let dir = tempfile::tempdir().unwrap();
    let check = |program: &str| {
        std::fs::write(dir.path().join("gateway.gw"), program).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
        let out = command.args(["serve", "--check"]).current_dir(dir.path()).output().unwrap();
        let [said, errors] = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (out.status.code().unwrap(), said, errors)
    };
    let free = free_port();
    let (code, said, errors) = check(&format!("listen public http {free}\nroute GET / -> http://no.such.host:80\n"));
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    assert!(
        said.contains(&format!("{free} (`public`): can be bound")) && said.contains("can be served: 1 routes"),
        "{said}"
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = format!(
        "listen http {}\nauth a = api-key {{ from header.x-key; keys file \"gone.keys\" }}\nroute GET / -> respond 204 {{ auth a }}\n",
        taken.local_addr().unwrap()
    );
    let (code, said, errors) = check(&program);
    assert_eq!((code, said.as_str()), (1, ""));
    assert!(errors.contains("gone.keys") && errors.contains("the port is in use"), "{errors}");

    let (code, _, errors) = check("listen http :8080\ninput a: string\nroute GET / -> respond 200 text a\n");
    assert!(code == 1 && errors.contains("GW_A"), "{errors}");

    // A gateway that runs has the address: it could be taken over. It does not notice.
    let gateway = Gateway::serve(PROGRAM);
    let (code, said, errors) = check(&PROGRAM.replace("LISTEN", &gateway.address.to_string()));
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    assert!(said.contains("as a running gateway does"), "{said}");
    assert!((0..20).all(|_| gateway.get("/n").status == 200));
}

/// What the kubelet does with a ConfigMap: files are links into `..data`, which is a link that is set anew.
#[test]
fn a_folder_of_links_is_swapped() {
    let dir = tempfile::tempdir().unwrap();
    let write = |version: &str, answer: &str| {
        let folder = dir.path().join(version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("route.gw"), format!("route GET /n -> respond 200 text \"{answer}\"\n")).unwrap();
        let new = dir.path().join("..data_tmp");
        symlink(version, &new).unwrap();
        std::fs::rename(new, dir.path().join("..data")).unwrap();
    };
    let program = "listen http LISTEN\nimport \"config/route.gw\"\n";
    let gateway_dir = tempfile::tempdir().unwrap();
    symlink(dir.path(), gateway_dir.path().join("config")).unwrap();
    write("..2026_01", "first");
    symlink("..data/route.gw", dir.path().join("route.gw")).unwrap();
    let gateway = Gateway::start(program, gateway_dir, Command::new(env!("CARGO_BIN_EXE_gw")), &[]);
    assert_eq!(gateway.get("/n").text(), "first");
    for (times, version) in ["..2026_02", "..2026_03", "..2026_04"].into_iter().enumerate() {
        write(version, version);
        gateway.await_log_times("\"message\":\"reloaded\"", times + 1);
        assert_eq!(gateway.get("/n").text(), version);
    }
    std::fs::remove_dir_all(dir.path().join("..2026_02")).unwrap();
    assert_eq!(gateway.get("/n").text(), "..2026_04");
}

#[test]
fn connections_are_spread_over_workers() {
    let gateway = Gateway::serve(PROGRAM);
    for count in [8, 64] {
        let mut clients: Vec<_> = (0..count).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
            assert_eq!(client.answer().text(), "1");
        }
        let workers = connections(gateway.child.id(), gateway.address.port());
        assert_eq!((workers.len(), workers.iter().sum::<usize>()), (2, count), "{workers:?}");
        assert!(workers.iter().all(|open| *open <= count / 2 + 1 + count / 32), "{workers:?}");
        clients.iter().for_each(|client| client.stream.shutdown(std::net::Shutdown::Both).unwrap());
        let began = std::time::Instant::now();
        while !connections(gateway.child.id(), gateway.address.port()).is_empty() {
            assert!(began.elapsed() < PATIENCE);
        }
    }
}

fn threads(process: u32, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|task| task.starts_with(name)).count()
}

/// How many connections to a port each worker polls, as the kernel knows it.
fn connections(process: u32, port: u16) -> Vec<usize> {
    let proc = Path::new("/proc").join(process.to_string());
    let table = std::fs::read_to_string(proc.join("net/tcp")).unwrap();
    let established = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ours = fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == "01";
        ours.then(|| format!("socket:[{}]", fields[9]))
    });
    let established: Vec<_> = established.collect();
    let mut polls = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(proc.join("fd")).unwrap().flatten() {
        if std::fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:[eventpoll]") {
            let info = std::fs::read_to_string(proc.join("fdinfo").join(entry.file_name())).unwrap_or_default();
            let fds = info.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next());
            let sockets =
                fds.filter_map(|fd| Some(std::fs::read_link(proc.join("fd").join(fd)).ok()?.display().to_string()));
            // A poll may be known by several numbers.
            polls.insert(
                sockets.filter(|socket| established.contains(socket)).collect::<std::collections::BTreeSet<_>>(),
            );
        }
    }
    polls.iter().map(|sockets| sockets.len()).filter(|open| *open > 0).collect()
}

/// `gw serve` with its output somewhere, its address, and the folder that it serves from.
fn serve_into(stdout: Stdio, stderr: Stdio) -> (std::process::Child, std::net::SocketAddr, tempfile::TempDir) {
    let (dir, address) = (tempfile::tempdir().unwrap(), free_port());
    std::fs::write(dir.path().join("gateway.gw"), PROGRAM.replace("LISTEN", &address.to_string())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
    let child = command.args(["serve", "--workers", "2"]).current_dir(dir.path()).stdout(stdout).stderr(stderr).spawn();
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    (child.unwrap(), address, dir)
}

#[test]
fn output_that_cannot_be_written_stops_nothing() {
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    // Nobody reads, and the pipe is soon full.
    let (_stuck, unread) = std::io::pipe().unwrap();
    for (stdout, stderr) in [(full(), full()), (closed(), closed()), (unread.into(), closed())] {
        let (mut child, address, dir) = serve_into(stdout, stderr);
        let program = dir.path().join("gateway.gw");
        let good = std::fs::read_to_string(&program).unwrap();
        let load = Load::on(address, "/n", 2);
        load.await_requests(500);
        // Diagnostics go to standard error.
        std::fs::write(&program, "listen http nonsense\n").unwrap();
        load.await_requests(100);
        std::fs::write(&program, good.replace("\"1\"", "\"2\"")).unwrap();
        let began = std::time::Instant::now();
        loop {
            let mut client = Client::connect(address);
            client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
            if client.answer().text() == "2" {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "it does not reload");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let tally = load.stop();
        assert!(tally.failed.is_empty(), "{tally:?}");
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn open_files_that_end_cost_connections_and_nothing_else() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 128; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_gw")]);
    let program = format!("{}\nlisten more http {} {{ max connections 100_000 }}\n", PROGRAM.trim(), free_port());
    let gateway = Gateway::start(&program, tempfile::tempdir().unwrap(), command, &[]);
    gateway.await_log(
        "`max connections` allows 100000 clients, but this process may open 128 files, enough for 60 clients",
    );
    let mut clients: Vec<_> = (0..200).map(|_| gateway.connect()).collect();
    let log = gateway.await_log("connections are refused: this process may open 128 files");
    assert!(log.contains("LimitNOFILE="), "{log}");
    let mut answers = 0;
    for client in &mut clients {
        client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
        match client.try_answer(false).map(|answer| answer.status) {
            Some(200) => answers += 1,
            refused => assert!(matches!(refused, Some(503) | None), "{refused:?}"),
        }
    }
    assert_eq!(answers, 60);
    // A reload has the files that it needs.
    gateway.replace("gateway.gw", &program.replace("\"1\"", "\"2\""));
    gateway.await_log("\"message\":\"reloaded\"");
    drop(clients);
    let began = std::time::Instant::now();
    while gateway.connect().stream.set_nodelay(true).is_err() || gateway.get("/n").status != 200 {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(gateway.get("/n").text(), "2");
    assert_eq!(gateway.log().matches("connections are refused").count(), 1);
}

#[test]
fn connections_wait_while_no_file_can_be_opened() {
    let gateway = Gateway::serve(PROGRAM);
    let limit = |files| limit_files(&gateway, files);
    // Numbers are given from below: none is left.
    limit(open_files(&gateway));
    let mut client = gateway.connect();
    client.send(b"GET /n HTTP/1.1\r\nhost: test\r\n\r\n");
    let log = gateway.await_log("connections wait: this process has");
    assert!(log.contains("LimitNOFILE="), "{log}");
    limit(1024);
    assert_eq!(client.answer().text(), "1");
    assert_eq!(gateway.log().matches("connections wait").count(), 1);
}

fn open_files(gateway: &Gateway) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.child.id())).unwrap().count().try_into().unwrap()
}

fn limit_files(gateway: &Gateway, files: u64) {
    let (mut soft, mut hard) = (0, 0);
    let process = i32::try_from(gateway.child.id()).unwrap();
    rlimit::prlimit(process, rlimit::Resource::NOFILE, None, Some((&mut soft, &mut hard))).unwrap();
    rlimit::prlimit(process, rlimit::Resource::NOFILE, Some((files.min(hard), hard)), None).unwrap();
}

#[test]
fn servers_are_not_blamed_for_files_that_end() {
    let server = Server::answering(|_| b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".to_vec());
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\nupstream app {{\n  server {0}/a\n  server {0}/b\n  eject after 1 failures for 60s\n  \
         health {{ GET /; every 100ms; unhealthy after 1 }}\n}}\nroute GET /{{rest...}} -> app\n",
        server.url()
    ));
    let mut client = gateway.connect();
    let mut get = || {
        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        client.answer()
    };
    assert_eq!(get().text(), "ok");
    std::thread::sleep(Duration::from_millis(300));
    limit_files(&gateway, open_files(&gateway).saturating_sub(2));
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..4 {
        assert_eq!(get().status, 503);
    }
    let log = gateway.await_log("Too many open files");
    assert!(
        log.contains("\"error\":\"overloaded\"") && !log.contains("unhealthy") && !log.contains("ejected"),
        "{log}"
    );
    limit_files(&gateway, 1024);
    assert_eq!(get().text(), "ok");
}

/// What packages and pages hand out is good.
#[test]
fn the_program_for_kubernetes_is_good() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes/gw.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, program) = text.split_once("  gateway.gw: |\n").unwrap();
    let program = program.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let program: String = program.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or_default())).collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("gateway.gw"), program).unwrap();
    for arguments in [&["check", "--deny", "warnings"][..], &["fmt", "--check"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gw"));
        command.args(arguments).current_dir(dir.path()).env("GW_ORDERS_URL", "http://orders:8080");
        let out = command.output().unwrap();
        assert!(out.status.success(), "{out:?}");
    }
}
