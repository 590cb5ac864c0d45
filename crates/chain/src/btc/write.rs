//! Writes the family's consensus encoding. Decides nothing: the inverse of [`read`](super::read).

/// Appends a CompactSize in its shortest spelling.
pub(crate) fn compact_size(out: &mut Vec<u8>, value: usize) {
    let value = u64::try_from(value).unwrap_or(u64::MAX);
    if let (Ok(small), true) = (u8::try_from(value), value < 0xfd) {
        out.push(small);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xfd);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xfe);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.push(0xff);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Bytes that the CompactSize of `value` takes.
pub(crate) const fn compact_size_len(value: usize) -> usize {
    match value {
        0..0xfd => 1,
        0xfd..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

/// Appends bytes behind their CompactSize length.
pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    compact_size(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Bytes that `length` bytes take behind their CompactSize.
pub(crate) const fn bytes_len(length: usize) -> usize {
    compact_size_len(length).saturating_add(length)
}

#[cfg(test)]
mod tests {
    use super::{super::read::Reader, *};

    #[test]
    fn sizes_are_read_back_and_counted() {
        for value in [0, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, usize::MAX] {
            let mut out = Vec::new();
            compact_size(&mut out, value);
            assert_eq!(out.len(), compact_size_len(value), "{value}");
            assert_eq!(Reader::new(&out).compact_size("count"), Ok(u64::try_from(value).unwrap()));
        }
    }
}
