//! The files that a configuration names. Each is read once, and its size is bounded. Their paths and digests tell later
//! changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use innkeeper_proxy::{Certificates, PrivateKey};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// The digest of a file's bytes.
pub(crate) type Digest = [u8; 32];

/// The bytes of a file, and their digest.
#[derive(Clone)]
pub(crate) struct Bytes {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) digest: Digest,
}

/// The longest PEM file.
const PEM_BYTES_MAX: usize = 4 << 20;

/// Reads the files that a configuration names.
#[derive(Default)]
pub(crate) struct Files {
    folder: PathBuf,
    named: BTreeSet<PathBuf>,
    /// The components. Certificates and keys are not kept.
    components: BTreeMap<PathBuf, Bytes>,
    system_roots: Option<Certificates>,
}

impl Files {
    /// Reads files in a folder, unless a path is absolute.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, ..Self::default() }
    }

    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Every file that has been read, or could not be.
    pub(crate) fn named(self) -> BTreeSet<PathBuf> {
        self.named
    }

    /// The bytes of a component. Tenants with the same file share them.
    pub(crate) fn component(&mut self, path: &Path, bytes_max: usize) -> Result<Bytes, String> {
        let path = self.path(path);
        self.named.insert(path.clone());
        match self.components.get(&path) {
            Some(bytes) => Ok(bytes.clone()),
            None => {
                let bytes = Bytes::new(read(&path, bytes_max)?);
                self.components.insert(path, bytes.clone());
                Ok(bytes)
            }
        }
    }

    /// The certificates in a PEM file, at least one. The file may have a key too: its bytes are wiped.
    pub(crate) fn certificates(&mut self, path: &Path) -> Result<(Certificates, Digest), String> {
        let bytes = self.read_secret(path)?;
        let certificates = Certificates::from_pem(&bytes).map_err(|error| error.to_string())?;
        Ok((certificates, digest_of(&bytes)))
    }

    /// The first private key in a PEM file. Its bytes are wiped.
    pub(crate) fn key(&mut self, path: &Path) -> Result<(PrivateKey, Digest), String> {
        let bytes = self.read_secret(path)?;
        let key = PrivateKey::from_pem(&bytes).map_err(|error| error.to_string())?;
        Ok((key, digest_of(&bytes)))
    }

    fn read_secret(&mut self, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let path = self.path(path);
        let bytes = read(&path, PEM_BYTES_MAX).map(Zeroizing::new);
        self.named.insert(path);
        bytes
    }

    /// The system's roots, read once, without the malformed ones.
    pub(crate) fn system_roots(&mut self) -> Certificates {
        let load = || Certificates::usable_roots(rustls_native_certs::load_native_certs().certs);
        self.system_roots.get_or_insert_with(load).clone()
    }
}

impl Bytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest_of(&bytes), bytes: bytes.into() }
    }
}

pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Reads a file to its end. Reads `bytes_max` and one byte at most.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    // A pipe or a device might never end, or never begin.
    let metadata = std::fs::metadata(path).map_err(said)?;
    if !metadata.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    // One allocation: a buffer that grows leaves a copy of a secret behind.
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = Vec::with_capacity(length.saturating_add(1));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(said)?;
    match bytes.len() > bytes_max {
        true => Err(format!("{} has more than {bytes_max} bytes", path.display())),
        false => Ok(bytes),
    }
}
