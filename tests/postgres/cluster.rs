//! A PostgreSQL of the tests' own: a private cluster in a temporary directory, made and
//! started once for the test binary, and ended with it, however that ends.
//!
//! Not for what the product does with it: statements here are psql's, so that the tests
//! ask somebody else what the product did.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A server that runs.
pub(crate) struct Cluster {
    directory: PathBuf,
    pub(crate) port: u16,
    /// The server ends when the standard input of its shell does.
    _server: Child,
}

/// A database of one test.
pub(crate) struct Database {
    pub(crate) cluster: &'static Cluster,
    pub(crate) name: String,
}

/// The programs of Debian's package.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// The cluster's superuser and its password.
pub(crate) const SUPERUSER: &str = "postgres";
pub(crate) const PASSWORD: &str = "super secret";

/// The account that the server runs as, if the tests run as root: it refuses to be root.
const ACCOUNT: &str = "postgres";

/// Runs the server until the standard input ends, and leaves nothing behind.
const SERVE: &str = r#"
"$0" "$@" & server=$!
cat > /dev/null
kill -QUIT $server
wait $server
rm -rf "${PGDATA%/data}"
"#;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cluster of this test binary.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// An empty database of a name that no other test has.
pub(crate) fn database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let cluster = cluster();
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
    Database { cluster, name }
}

impl Cluster {
    fn start() -> Cluster {
        let directory = tempfile::Builder::new()
            .prefix("perihelion-postgres-")
            .tempdir()
            .unwrap()
            .keep();
        if let Some((user, group)) = account() {
            chown(&directory, Some(user), Some(group)).unwrap();
        }
        let port = free_port();
        make_cluster(&directory);
        let server = serve(&directory, port);
        let cluster = Cluster {
            directory,
            port,
            _server: server,
        };
        cluster.wait();
        cluster
    }

    /// The directory of its socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.directory
    }

    /// Runs statements as the superuser; they must succeed. Returns what psql prints:
    /// rows of values with `|` between them.
    #[track_caller]
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.psql(SUPERUSER, PASSWORD, database, sql);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}\nin: {sql}");
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Runs statements as a user, by the socket.
    pub(crate) fn psql(&self, user: &str, password: &str, database: &str, sql: &str) -> Output {
        Command::new(program("psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=verbose"])
            .args(["--no-password", "--username", user, "--dbname", database])
            .arg("--host")
            .arg(self.socket())
            .args(["--port", &self.port.to_string(), "--command", sql])
            .env("PGPASSWORD", password)
            .output()
            .unwrap()
    }

    /// A URL for a user, by the socket.
    pub(crate) fn url(&self, user: &str, password: &str, database: &str) -> String {
        let password = password.replace(' ', "%20");
        let host = self.socket().display().to_string().replace('/', "%2F");
        format!(
            "postgres://{user}:{password}@{host}:{}/{database}",
            self.port
        )
    }

    fn wait(&self) {
        let begun = Instant::now();
        loop {
            let ready = Command::new(program("pg_isready"))
                .arg("--quiet")
                .arg("--host")
                .arg(self.socket())
                .args(["--port", &self.port.to_string()])
                .status();
            if ready.unwrap().success() {
                return;
            }
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "no server:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Database {
    /// Runs statements in it as the superuser.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.name, sql)
    }

    /// Its URL for the superuser.
    pub(crate) fn superuser_url(&self) -> String {
        self.cluster.url(SUPERUSER, PASSWORD, &self.name)
    }
}

/// Passwords are asked for everywhere, by the socket too.
fn make_cluster(directory: &Path) {
    let password = directory.join("password");
    let mut file = fs::File::create(&password).unwrap();
    writeln!(file, "{PASSWORD}").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let made = as_account("initdb")
        .args(["--username", SUPERUSER, "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"])
        .arg("--pwfile")
        .arg(&password)
        .arg("--pgdata")
        .arg(directory.join("data"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{error}");
}

fn serve(directory: &Path, port: u16) -> Child {
    let settings = [
        ("port", port.to_string()),
        ("listen_addresses", "127.0.0.1".to_string()),
        ("unix_socket_directories", directory.display().to_string()),
        ("fsync", "off".to_string()),
        ("full_page_writes", "off".to_string()),
        ("max_connections", "200".to_string()),
        ("log_statement", "all".to_string()),
    ];
    let log = fs::File::create(directory.join("log")).unwrap();
    let mut server = as_account_program("/bin/sh");
    server.args(["-c", SERVE]).arg(program("postgres"));
    for (name, value) in settings {
        server.arg("-c").arg(format!("{name}={value}"));
    }
    server
        .env("PGDATA", directory.join("data"))
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn as_account(name: &str) -> Command {
    as_account_program(program(name))
}

fn as_account_program(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    command
}

/// The user and group that the server runs as; none if that is who runs the tests.
fn account() -> Option<(u32, u32)> {
    let id = |option: &str| -> u32 {
        let output = Command::new("id").args([option, ACCOUNT]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse().expect("an account for PostgreSQL")
    };
    rustix::process::getuid()
        .is_root()
        .then(|| (id("-u"), id("-g")))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn program(name: &str) -> PathBuf {
    let path = Path::new(PROGRAMS).join(name);
    assert!(
        path.exists(),
        "no {}: `cargo xtask test` installs it",
        path.display()
    );
    path
}
