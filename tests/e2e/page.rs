//! One page over HTTP: a request and its whole answer, which is what makes a connection count as good. It never tries twice.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Asks once, over a connection of its own.
pub fn ask_once(target: SocketAddr, page: &str, limit: Duration) -> std::io::Result<String> {
    ask(&mut open(target, limit)?, page)
}

/// Opens a connection. `limit` is for this, and later for each answer.
pub fn open(target: SocketAddr, limit: Duration) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One request and its whole answer, after which the connection can take the next one.
pub fn ask(stream: &mut TcpStream, page: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET {page} HTTP/1.1\r\nHost: web\r\n\r\n").as_bytes())?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the server hung up before its answer was whole",
            ));
        }
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(body) = body(&String::from_utf8_lossy(&bytes))? {
            return Ok(body);
        }
    }
}

/// The body of an answer once it is whole; an error if it is not the page that was asked for.
fn body(answer: &str) -> std::io::Result<Option<String>> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return Ok(None) };
    if !head.starts_with("HTTP/1.1 200 ") {
        let status = head.lines().next().unwrap_or_default();
        return Err(Error::other(format!("answered with {status}")));
    }
    let lengths = head.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
    let length = lengths.filter_map(|length| length.parse::<usize>().ok()).next();
    let length = length.ok_or_else(|| Error::other("answered without a length"))?;
    Ok((body.len() >= length).then(|| body.trim_end().to_owned()))
}
