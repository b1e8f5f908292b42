//! One connection, timed: made from wherever the calling thread is, and torn down at once. It knows nothing of Services.

use std::io::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// After this a connection counts as failed: three lost SYNs.
const LIMIT: Duration = Duration::from_secs(4);

/// Connects from a fresh source port, and tells how long the call connect() took: from the SYN to the SYN-ACK.
pub fn dial(target: SocketAddr) -> Result<Duration, Error> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    // Closed by a reset: ports and connection tracking are free again at once.
    socket.set_linger(Some(Duration::ZERO))?;
    // It bounds connect() too, with no second system call to be timed along.
    socket.set_write_timeout(Some(LIMIT))?;
    let address = target.into();
    let start = Instant::now();
    socket.connect(&address)?;
    Ok(start.elapsed())
}
