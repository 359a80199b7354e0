//! Tests of reading PEM against a slow, obvious twin, and with any bytes.

use proptest::prelude::*;

use crate::tls::file_fault::FileFault;
use crate::tls::pem::PemFile;

fn blocks(content: impl Into<Vec<u8>>) -> Result<Vec<(String, usize)>, FileFault> {
    let file = PemFile {
        content: content.into(),
        mode: None,
    };
    let blocks = file.blocks()?.into_iter();
    Ok(blocks.map(|block| (block.label, block.line)).collect())
}

/// A piece of a file: a block, a part of one, or what stands around blocks.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_owned()),
        Just("\u{feff}-----BEGIN X-----\n-----END X-----\n".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----\n".to_owned()),
        Just("-----END PRIVATE KEY-----\n".to_owned()),
        Just("MAA=\n".to_owned()),
        "[ -~\u{2014}\u{feff}\n\r]{0,12}",
        "-{0,6}(BEGIN|END) (CERTIFICATE|A KEY|X)-{0,6}\n",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(content in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = blocks(content);
    }

    /// What looks like a beginning is a block, or the file is refused: none is passed over.
    #[test]
    fn every_beginning_is_a_block_or_a_fault(pieces in proptest::collection::vec(piece(), 0..8)) {
        let content = pieces.concat();
        if let Ok(blocks) = blocks(content.as_bytes()) {
            let begins = content.matches("-----BEGIN ").count();
            let ends = content.matches("-----END ").count();
            prop_assert_eq!((begins, ends), (blocks.len(), blocks.len()), "{:?}", content);
            for (label, line) in blocks {
                let text = content.replace("\r\n", "\n").replace('\r', "\n");
                let found = text.split('\n').nth(line - 1).unwrap_or_default();
                prop_assert!(found.contains(&format!("-----BEGIN {label}-----")), "{:?}", content);
            }
        }
    }
}
