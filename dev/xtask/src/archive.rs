//! Archives whose bytes depend on nothing but what is in them: sorted, with one time for all, and nobody's name.

use std::collections::BTreeMap;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::workspace::Result;

/// Files by their paths, with `/` between folders. The order is that of the paths.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A gzipped tar archive of `files` below `folder`, all of the time `modified` (in seconds since 1970).
pub(crate) fn tar_gz(folder: &str, files: &Files, modified: u64) -> Result<Vec<u8>> {
    // Neither a name nor a time in gzip's own header.
    let gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    let mut archive = Builder::new(gzip);
    for (path, content) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(modified);
        archive.append_data(&mut header, format!("{folder}/{path}"), content.as_slice())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines that `sha256sum --check` reads.
pub(crate) fn checksums(files: &Files) -> String {
    files
        .iter()
        .map(|(path, content)| format!("{}  {path}\n", sha256(content)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn some_files() -> Files {
        let files = [("b/deep/file.txt", "b"), ("a.txt", "a"), ("c.txt", "")];
        let owned = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        owned.into_iter().collect()
    }

    #[test]
    fn an_archive_unpacks_to_its_files_with_one_time_and_nobodys_name() {
        let packed = tar_gz("top", &some_files(), 1_700_000_000).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
        let mut seen = Files::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), 1_700_000_000);
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.username().unwrap(), Some(""));
            assert_eq!(header.mode().unwrap(), 0o644);
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            seen.insert(path.strip_prefix("top/").unwrap().to_owned(), content);
        }
        assert_eq!(seen, some_files());
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let again = some_files().into_iter().rev().collect();
        assert_eq!(
            tar_gz("top", &some_files(), 1).unwrap(),
            tar_gz("top", &again, 1).unwrap()
        );
        // gzip's header: no time, and no name of an operating system.
        assert_eq!(tar_gz("top", &again, 1).unwrap()[4..8], [0, 0, 0, 0]);
    }

    /// FIPS 180-4: the digests of "abc" and of nothing.
    #[test]
    fn checksums_are_what_sha256sum_prints() {
        let mut files = Files::new();
        files.insert("empty".into(), vec![]);
        files.insert("abc".into(), b"abc".to_vec());
        assert_eq!(
            checksums(&files),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty\n"
        );
    }
}
