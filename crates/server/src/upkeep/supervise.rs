//! Tells a service manager that the server is ready (`supervised`).
//!
//! systemd's protocol: a datagram to the socket that the environment names. A unit of type `notify`, as packages install it
//! for Redis, would be taken for dead without it. Upstart's way, a process that stops itself, is left out.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where systemd listens.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// Says that the server is ready, if `supervised` has a service manager told and there is one.
pub fn tell_ready(supervised: &str) {
    match supervised {
        "systemd" | "auto" => {}
        "upstart" => return tracing::warn!("upstart is not told that the server is ready: not supported"),
        _ => return,
    }
    let Some(socket) = std::env::var_os(SOCKET_VARIABLE) else {
        if supervised == "systemd" {
            tracing::warn!("systemd supervision requested or auto-detected, but {SOCKET_VARIABLE} not found");
        }
        return;
    };
    if let Err(error) = send(&socket, b"READY=1\nSTATUS=Ready to accept connections\n") {
        tracing::warn!("Can't tell systemd that the server is ready: {error}");
    }
}

/// Sends a datagram to a path, or to a name without a path if it begins with `@`.
fn send(socket: &OsStr, message: &[u8]) -> std::io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address).map(|_| ())
}
