//! One connection: made from wherever the calling thread is, timed, and torn down at once. It knows nothing of Services.

use std::io::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// After this a connection counts as failed: three lost SYNs.
const LIMIT: Duration = Duration::from_secs(4);

/// A connection that succeeds takes a fraction of this on a quiet machine.
pub const GLANCE: Duration = Duration::from_millis(2);
/// And of this on a busy one.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// Connects from a fresh source port, and tells how long the call connect() took: from the SYN to the SYN-ACK.
pub fn dial(target: SocketAddr) -> Result<Duration, Error> {
    let socket = open(target)?;
    // It bounds connect() too, with no second system call to be timed along.
    socket.set_write_timeout(Some(LIMIT))?;
    let address = target.into();
    let start = Instant::now();
    socket.connect(&address)?;
    Ok(start.elapsed())
}

/// Whether somebody answers within `limit`, which is less than a second. A client that is rejected while it connects learns of it only when it sends its SYN again after a
/// second (the kernel takes ICMP for a soft error as long as the socket is in use), so whoever waits for a Service must not wait for that.
pub fn answers(target: SocketAddr, limit: Duration) -> Result<bool, Error> {
    Ok(open(target)?.connect_timeout(&target.into(), limit).is_ok())
}

fn open(target: SocketAddr) -> Result<Socket, Error> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    // Closed by a reset: ports and connection tracking are free again at once.
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(socket)
}
