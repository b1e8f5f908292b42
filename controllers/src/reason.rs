//! What went wrong with the API server, in few words: the message of its answer, or the innermost cause. Pure.

use std::error::Error;

/// The reason of `error`, without the wrapping of the layers that it came through.
pub fn of(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return match status.code {
            0 => status.message.clone(),
            code => format!("{} ({code})", status.message),
        };
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
