//! The siblings `x.br` and `x.gz` that JHE's static server hands out in place of `x`. It compresses nothing itself.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use brotli::enc::backward_references::BrotliEncoderMode;

use crate::workspace::{Result, write};

/// A file's content in both forms. The same content always gives the same bytes.
pub(crate) struct Compressed {
    brotli: Vec<u8>,
    gzip: Vec<u8>,
}

impl Compressed {
    pub(crate) fn of(content: &[u8]) -> Result<Compressed> {
        Ok(Compressed {
            brotli: brotli(content)?,
            gzip: gzip(content)?,
        })
    }

    /// Writes the siblings of the file at `path`.
    pub(crate) fn write_beside(&self, path: &Path) -> Result {
        write(&with_suffix(path, ".br"), &self.brotli)?;
        write(&with_suffix(path, ".gz"), &self.gzip)
    }
}

/// The path of a sibling: `x.wasm` and `.br` give `x.wasm.br`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn brotli(content: &[u8]) -> Result<Vec<u8>> {
    let mut shortest: Option<Vec<u8>> = None;
    // Which one is best for a module can't be told before; they differ by two thousandths.
    for mode in [
        BrotliEncoderMode::BROTLI_MODE_GENERIC,
        BrotliEncoderMode::BROTLI_MODE_TEXT,
        BrotliEncoderMode::BROTLI_MODE_FONT,
    ] {
        let parameters = brotli::enc::BrotliEncoderParams {
            quality: 11,
            lgwin: 18,
            mode,
            size_hint: content.len(),
            ..Default::default()
        };
        let mut compressed = Vec::new();
        brotli::BrotliCompress(&mut &content[..], &mut compressed, &parameters)?;
        if shortest
            .as_ref()
            .is_none_or(|shortest| compressed.len() < shortest.len())
        {
            shortest = Some(compressed);
        }
    }
    Ok(shortest.unwrap_or_default())
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    // The encoder writes neither a name nor a time into the header.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn both_siblings_unpack_to_the_original() {
        let original = "a patient's labs; ".repeat(500).into_bytes();

        let mut unpacked = Vec::new();
        brotli::BrotliDecompress(&mut &brotli(&original).expect("packs")[..], &mut unpacked)
            .expect("unpacks");
        assert_eq!(unpacked, original);

        let packed = gzip(&original).expect("packs");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .expect("unpacks");
        assert_eq!(unpacked, original);
    }

    #[test]
    fn the_gzip_header_carries_no_time() {
        let packed = gzip(b"x").expect("packs");
        assert_eq!(packed[4..8], [0, 0, 0, 0]);
    }

    #[test]
    fn a_sibling_keeps_the_whole_name() {
        assert_eq!(
            with_suffix(Path::new("a/b_bg.wasm"), ".br"),
            Path::new("a/b_bg.wasm.br")
        );
    }
}
