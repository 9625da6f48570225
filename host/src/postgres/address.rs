//! Where a PostgreSQL server is, and as whom: from a URL to a stream of bytes.
//!
//! A password is in it, so nothing here is ever put into an error or a log.

use super::stream::Stream;
use crate::error::{Error, Result, SqlState};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// A PostgreSQL database, with the role and password to use it by.
#[derive(Clone)]
pub struct PostgresUrl(Arc<Address>);

/// A server and a role of it.
#[derive(Clone)]
pub(crate) struct Address {
    config: Config,
    place: Place,
    /// What stands in the URL after the user.
    text_of_place: String,
}

/// Where the server listens: on this machine.
#[derive(Clone)]
enum Place {
    /// The path of a socket.
    Socket(PathBuf),
    /// Addresses to try, in this order.
    Loopback(Vec<SocketAddr>),
}

const PORT: u16 = 5432;

const FORM: &str = "postgres://user:password@localhost:5432/database, or with the directory \
     of a socket for a host: postgres://user:password@%2Frun%2Fpostgresql/database";

impl PostgresUrl {
    /// Reads `postgres://user:password@host:port/database`.
    ///
    /// The server must be on this machine: a socket's directory or the loopback
    /// interface. This version has no TLS, and what crosses a network would be readable
    /// there. A server elsewhere is reached by a tunnel.
    pub fn parse(url: &str) -> Result<PostgresUrl> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(bad_url("it is no URL of PostgreSQL"));
        }
        refuse_tls(url)?;
        let mut config: Config = url.parse().map_err(|_| bad_url("it cannot be read"))?;
        if config.get_user().is_none_or(str::is_empty) {
            return Err(bad_url("it names no user"));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(bad_url("it names no database"));
        }
        if config.get_options().is_some() {
            return Err(bad_url("it has options for the server"));
        }
        let place = place(&config)?;
        config.ssl_mode(SslMode::Disable);
        let text_of_place = text_of_place(url).to_string();
        Ok(PostgresUrl(Arc::new(Address {
            config,
            place,
            text_of_place,
        })))
    }

    /// The same with this password.
    pub fn with_password(&self, password: &str) -> PostgresUrl {
        let mut address = Address::clone(&self.0);
        address.config.password(password);
        PostgresUrl(Arc::new(address))
    }

    /// Whether it has a password.
    pub fn has_password(&self) -> bool {
        self.0.config.get_password().is_some()
    }

    /// The URL's text for another role, with a password that needs no escapes.
    pub(crate) fn written_for(&self, role: &str, password: &str) -> String {
        let role: String = role.bytes().map(escaped).collect();
        format!("postgres://{role}:{password}@{}", self.0.text_of_place)
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0
    }
}

/// Without the password.
impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.0.user(), self.0.database())
    }
}

impl Address {
    pub(crate) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    pub(crate) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The same server and database, for another role.
    pub(crate) fn as_role(&self, role: &str, password: &str) -> Address {
        let mut address = self.clone();
        address.config.user(role).password(password);
        address
    }

    /// Opens a stream of bytes. Inside of a runtime only.
    #[expect(
        clippy::disallowed_methods,
        reason = "the server that the administrator named"
    )]
    pub(super) async fn open(&self) -> std::io::Result<Stream> {
        match &self.place {
            Place::Socket(path) => tokio::net::UnixStream::connect(path)
                .await
                .map(Stream::Unix),
            Place::Loopback(addresses) => {
                let mut last = std::io::ErrorKind::AddrNotAvailable.into();
                for address in addresses {
                    match tokio::net::TcpStream::connect(address).await {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

/// Between the user and the options.
fn text_of_place(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let end = rest.find('/').unwrap_or(rest.len());
    let begin = rest[..end].rfind('@').map_or(0, |at| at + 1);
    &rest[begin..]
}

/// One byte of a name in a URL.
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// What the library would take for a demand, and what it does not know.
fn refuse_tls(url: &str) -> Result<()> {
    let options = url.split_once('?').map_or("", |(_, options)| options);
    for option in options.split('&') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if name == "sslmode" && !["disable", "prefer"].contains(&value) {
            return Err(no_tls("the URL demands an encrypted connection"));
        }
    }
    Ok(())
}

fn place(config: &Config) -> Result<Place> {
    let port = match config.get_ports() {
        [] => PORT,
        [port] => *port,
        _ => return Err(bad_url("it names more than one port")),
    };
    if config.get_ssl_mode() == SslMode::Require {
        return Err(no_tls("the URL demands an encrypted connection"));
    }
    match (config.get_hosts(), config.get_hostaddrs()) {
        ([Host::Unix(directory)], []) => {
            let socket = directory.join(format!(".s.PGSQL.{port}"));
            Ok(Place::Socket(socket))
        }
        ([Host::Tcp(host)], []) => match loopback(host) {
            Some(addresses) => {
                let with_port = |address| SocketAddr::new(address, port);
                Ok(Place::Loopback(
                    addresses.into_iter().map(with_port).collect(),
                ))
            }
            None => Err(no_tls(&format!(
                "the connection to \"{host}\" would not be encrypted"
            ))),
        },
        ([], []) => Err(bad_url("it names no host")),
        _ => Err(bad_url("it names more than one host")),
    }
}

fn loopback(host: &str) -> Option<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let address: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    address.is_loopback().then(|| vec![address])
}

fn bad_url(why: &str) -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        format!("the URL of the database is of no use: {why}"),
    )
    .with_hint(FORM)
}

fn no_tls(what: &str) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{what}, and this version has no TLS"),
    )
    .with_hint(
        "bring the server to this machine by a tunnel, as with \
         ssh -L 5432:localhost:5432 HOST, and use localhost",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_on_this_machine_is_accepted() {
        for url in [
            "postgres://u:p@localhost/d",
            "postgresql://u@127.0.0.1:5433/d",
            "postgres://u@127.9.9.9/d?sslmode=disable",
            "postgres://u@[::1]/d",
            "postgres://u:p@%2Frun%2Fpostgresql/d?sslmode=prefer",
        ] {
            assert!(PostgresUrl::parse(url).is_ok(), "{url}");
        }
        for url in [
            "postgres://u:hunter2@db.example.com/d",
            "postgres://u:hunter2@10.0.0.1/d",
            "postgres://u:hunter2@localhost.example.com/d",
            "postgres://u:hunter2@localhost/d?sslmode=require",
            "postgres://u:hunter2@localhost/d?sslmode=verify-full",
        ] {
            let error = PostgresUrl::parse(url).unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::FEATURE_NOT_SUPPORTED, "{url}");
        }
    }

    #[test]
    fn neither_an_error_nor_a_debug_output_has_the_password() {
        for url in [
            "hunter2",
            "mysql://u:hunter2@localhost/d",
            "postgres://u:hunter2@localhost",
            "postgres://:hunter2@localhost/d",
            "postgres://u:hunter2@localhost,localhost/d",
            "postgres://u:hunter2@localhost:port/d",
            "postgres://u:hunter2@/d",
            "postgres://u:hunter2@localhost/d?options=-cx",
            "postgres://u:hunter2@localhost/d?hunter2=1",
        ] {
            let error = PostgresUrl::parse(url).unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::INVALID_VALUE, "{url}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        let url = PostgresUrl::parse("postgres://u:hunter2@localhost/d").unwrap();
        assert_eq!(format!("{url:?}"), "u@d");
        assert_eq!(
            url.written_for("a b", "x"),
            "postgres://a%20b:x@localhost/d"
        );
    }
}
