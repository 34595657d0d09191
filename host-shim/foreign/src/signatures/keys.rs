//! Keys, from DER or PEM.

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::{Hash, pem};

/// Bytes of the curve's integers.
const P256_BYTES: usize = 32;
const P384_BYTES: usize = 48;

/// A key that verifies.
pub(super) enum PublicKey {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// From a `SubjectPublicKeyInfo`, in one of both forms.
    pub(super) fn read(der: &[u8], pem: &str) -> Option<Self> {
        if der.is_empty() {
            let (label, der) = pem::read(pem)?;
            return if label == "PUBLIC KEY" { Self::of_der(&der) } else { None };
        }
        Self::of_der(der)
    }

    fn of_der(der: &[u8]) -> Option<Self> {
        let der = first_element(der)?;
        None.or_else(|| of_rsa(der).then(|| RsaPublicKey::from_public_key_der(der).ok().map(Self::Rsa))?)
            .or_else(|| p256::ecdsa::VerifyingKey::from_public_key_der(der).ok().map(Self::P256))
            .or_else(|| p384::ecdsa::VerifyingKey::from_public_key_der(der).ok().map(Self::P384))
    }

    pub(super) fn verifies(&self, hash: Hash, digest: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => key.verify(padding(hash), digest, signature).is_ok(),
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(&widened(digest, P256_BYTES), &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(&widened(digest, P384_BYTES), &signature).is_ok()),
        }
    }
}

/// A key that signs.
pub(super) enum PrivateKey {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl PrivateKey {
    /// From PKCS #8; as PEM also from the forms that RSA and elliptic curves have for themselves.
    pub(super) fn read(der: &[u8], pem: &str) -> Option<Self> {
        if !der.is_empty() {
            return Self::of_pkcs8(der);
        }
        match pem::read(pem)? {
            ("PRIVATE KEY", der) => Self::of_pkcs8(&der),
            ("RSA PRIVATE KEY", der) => RsaPrivateKey::from_pkcs1_der(&der).ok().map(Box::new).map(Self::Rsa),
            ("EC PRIVATE KEY", der) => {
                let p256 = || Some(Self::P256(p256::SecretKey::from_sec1_der(&der).ok()?.into()));
                let p384 = || Some(Self::P384(p384::SecretKey::from_sec1_der(&der).ok()?.into()));
                p256().or_else(p384)
            }
            _ => None,
        }
    }

    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let der = first_element(der)?;
        None.or_else(|| of_rsa(der).then(|| RsaPrivateKey::from_pkcs8_der(der).ok().map(Box::new).map(Self::Rsa))?)
            .or_else(|| p256::ecdsa::SigningKey::from_pkcs8_der(der).ok().map(Self::P256))
            .or_else(|| p384::ecdsa::SigningKey::from_pkcs8_der(der).ok().map(Self::P384))
    }

    /// Nothing where the key has no room for the digest. With elliptic curves the same text has the same signature each
    /// time (RFC 6979), which needs no random numbers.
    pub(super) fn sign(&self, hash: Hash, digest: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => key.sign(padding(hash), digest).ok().filter(|signature| signature.len() == key.size()),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(&widened(digest, P256_BYTES)).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(&widened(digest, P384_BYTES)).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

/// Whether it is a key of RSA as such, and not of RSA with a padding of its own.
fn of_rsa(der: &[u8]) -> bool {
    /// `rsaEncryption`, which comes first.
    const OID: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    der.windows(OID.len()).take(16).any(|window| window == OID)
}

fn padding(hash: Hash) -> Pkcs1v15Sign {
    match hash {
        Hash::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
        Hash::Sha224 => Pkcs1v15Sign::new::<Sha224>(),
        Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
        Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
    }
}

/// The digest as an integer of at least this many bytes: the libraries refuse one that is much shorter than the curve's.
fn widened(digest: &[u8], bytes: usize) -> Vec<u8> {
    let mut wide = vec![0; bytes.saturating_sub(digest.len())];
    wide.extend_from_slice(digest);
    wide
}

/// The first element of this DER: as in BoringSSL, what follows it does not count.
fn first_element(der: &[u8]) -> Option<&[u8]> {
    let len = match *der.get(1)? {
        short @ 0..=0x7f => 2 + usize::from(short),
        0x81 => 3 + usize::from(*der.get(2)?),
        0x82 => 4 + usize::from(u16::from_be_bytes([*der.get(2)?, *der.get(3)?])),
        _ => return None,
    };
    der.get(..len)
}
