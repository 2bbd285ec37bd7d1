//! Frames by hand, for tests and fuzzing.

#[cfg(test)]
use super::frame::{FRAME_END, METHOD};
use crate::core::{Core, CoreSettings, Permissions, User};

/// A core with a vhost and the user `guest`.
pub(crate) fn bench_core() -> Core {
    let permissions = [("/".into(), Permissions::all())].into();
    let guest = User { name: "guest".into(), password: "guest".to_owned(), tags: Vec::new(), permissions };
    Core::new(CoreSettings {
        users: vec![guest],
        vhosts: vec!["/".into()],
        history: 1_000_000,
        started: 1_700_000_000,
    })
}

/// A frame.
#[cfg(test)]
pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes.push(FRAME_END);
    bytes
}

/// The frame of a method.
#[cfg(test)]
pub(crate) fn method(channel: u16, class: u16, method: u16, fields: &[Vec<u8>]) -> Vec<u8> {
    let payload = [class.to_be_bytes().to_vec(), method.to_be_bytes().to_vec(), fields.concat()].concat();
    frame(METHOD, channel, &payload)
}

/// A short string.
#[cfg(test)]
pub(crate) fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A long string or a table.
#[cfg(test)]
pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}
