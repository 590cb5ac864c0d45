//! A real nginx with `auth_request` on the gate, in front of a service that only answers.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use tempfile::TempDir;

use crate::process::{ask, free, until};

/// Starts a service that answers everything with 200; it ends with the test.
fn service() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(&mut stream));
        }
    });
    address
}

fn answer(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
        while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            seen.drain(..end + 4);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\naccepted\n").is_err() {
                return;
            }
        }
    }
}

/// nginx; killed when dropped.
pub(crate) struct Front {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|file| file.is_file())
}

impl Front {
    /// Starts it; `None` where it is not installed.
    pub(crate) fn start(gate: SocketAddr) -> Option<Self> {
        let binary = binary()?;
        let folder = tempfile::tempdir().unwrap();
        let (address, home) = (free(), folder.path().display().to_string());
        let conf = format!(
            "daemon off; master_process off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p;\n\
             fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
             upstream gate {{ server {gate}; keepalive 8; }}\n\
             server {{ listen {address};\n\
             location /withdraw {{ auth_request /_permit; proxy_pass http://{}; }}\n\
             location = /_permit {{ internal; proxy_pass http://gate/v1/permits/withdrawal/BTC;\n\
             proxy_pass_request_body off; proxy_set_header Content-Length \"\"; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_connect_timeout 500ms; proxy_read_timeout 500ms; }} }} }}\n",
            service()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, conf).unwrap();
        let child = Self::spawn(&binary, &file, &home);
        let front = Self { child, address, _folder: folder };
        until("nginx answers", || front.status() != 0);
        Some(front)
    }

    fn spawn(binary: &Path, file: &Path, home: &str) -> Child {
        let mut command = Command::new(binary);
        command.arg("-c").arg(file).args(["-p", home, "-e", &format!("{home}/error.log")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }

    /// What a customer who asks for a withdrawal is answered; 0 where nobody answers.
    pub(crate) fn status(&self) -> u16 {
        ask(self.address, "GET", "/withdraw").map_or(0, |answer| answer.status)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
