//! The layout of a node's block files: magic, length and block, one after the other, in files of bounded length.
//!
//! Decides which file a block stands in. Writes nothing: whoever keeps the files does.

use kuraban_chain::btc::Network;

/// Length after which a node begins another block file (Bitcoin Core, `MAX_BLOCKFILE_SIZE`).
pub const FILE_BYTES_MAX: u64 = 128 << 20;

/// A block as it stands in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The file's number, from 0 on.
    pub file: u32,
    /// Magic, length and block.
    pub bytes: Vec<u8>,
}

impl Record {
    /// The file's name.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("blk{:05}.dat", self.file)
    }
}

/// The files of a chain, so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Records {
    magic: [u8; 4],
    file: u32,
    written: u64,
}

impl Records {
    /// Before the first block.
    #[must_use]
    pub const fn new(network: Network) -> Self {
        Self { magic: network.magic(), file: 0, written: 0 }
    }

    /// Where the next block goes. A file is never longer than [`FILE_BYTES_MAX`].
    pub fn next(&mut self, block: &[u8]) -> Record {
        // No block has 4 GiB: its decoder says so.
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let bytes = [&self.magic[..], &length.to_le_bytes(), block].concat();
        let takes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(takes) > FILE_BYTES_MAX {
            self.file += 1;
            self.written = 0;
        }
        self.written = self.written.saturating_add(takes);
        Record { file: self.file, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_filled_to_its_limit_and_no_further() {
        let half = vec![7; usize::try_from(FILE_BYTES_MAX / 2).unwrap() - 8];
        let files = |last: usize| {
            let mut records = Records::new(Network::BtcRegtest);
            let other = &half[..half.len() + last - 1];
            [&half[..], other, &[1]].map(|block| records.next(block).file)
        };
        assert_eq!(files(1), [0, 0, 1]);
        let mut records = Records::new(Network::BtcRegtest);
        let longer = [&half[..], &[0]].concat();
        assert_eq!([&half[..], &longer].map(|block| records.next(block).file), [0, 1]);
        let record = Records::new(Network::BtcRegtest).next(&[1, 2]);
        assert_eq!(record.bytes, [0xfa, 0xbf, 0xb5, 0xda, 2, 0, 0, 0, 1, 2]);
        assert_eq!(record.file_name(), "blk00000.dat");
    }
}
