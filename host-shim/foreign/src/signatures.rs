//! `verify_signature` and `sign`: PKCS #1 v1.5 with RSA and ECDSA with P-256 and P-384, as Envoy has them of BoringSSL.
//!
//! The result says what is wrong with a key or a signature. Only arguments that are not a message, or that name no key
//! or two, lead to a status.

mod keys;
mod pem;

use proxy_wasm_abi::enums::Status;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::protobuf::{Value, each_field, put_bytes, text};
use keys::{PrivateKey, PublicKey};

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn of_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "sha1" => Some(Self::Sha1),
            "sha224" => Some(Self::Sha224),
            "sha256" => Some(Self::Sha256),
            "sha384" => Some(Self::Sha384),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(text).to_vec(),
            Self::Sha224 => Sha224::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha384 => Sha384::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }
}

/// The fields that both messages have.
#[derive(Default)]
struct Arguments<'a> {
    hash: &'a str,
    key: &'a [u8],
    signature: &'a [u8],
    text: &'a [u8],
    pem: &'a str,
}

/// The numbers of the fields that are not the same in both messages.
struct Fields {
    signature: Option<u64>,
    text: u64,
    pem: u64,
}

impl<'a> Arguments<'a> {
    fn read(message: &'a [u8], fields: &Fields) -> Option<Self> {
        let mut arguments = Self::default();
        each_field(message, |field| {
            match field {
                (1, Value::Bytes(bytes)) => arguments.hash = text(bytes)?,
                (2, Value::Bytes(bytes)) => arguments.key = bytes,
                (number, Value::Bytes(bytes)) if Some(number) == fields.signature => arguments.signature = bytes,
                (number, Value::Bytes(bytes)) if number == fields.text => arguments.text = bytes,
                (number, Value::Bytes(bytes)) if number == fields.pem => arguments.pem = text(bytes)?,
                _ => {}
            }
            Some(())
        })?;
        // One of both.
        (arguments.key.is_empty() != arguments.pem.is_empty()).then_some(arguments)
    }

    fn hash(&self) -> Result<Hash, String> {
        Hash::of_name(self.hash).ok_or_else(|| format!("{} is not supported.", self.hash))
    }
}

/// `verify_signature`: from a `VerifySignatureArguments` to a `VerifySignatureResult`.
///
/// # Errors
/// `BAD_ARGUMENT`
pub fn verify(arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let fields = Fields { signature: Some(3), text: 4, pem: 5 };
    let arguments = Arguments::read(arguments, &fields).ok_or(Status::BadArgument)?;
    let verified = arguments.hash().and_then(|hash| {
        let key = PublicKey::read(arguments.key, arguments.pem).ok_or("Failed to initialize digest verify.")?;
        let valid = key.verifies(hash, &hash.digest(arguments.text), arguments.signature);
        if valid { Ok(()) } else { Err("Failed to verify digest. Error code: 0".to_owned()) }
    });
    let mut result = Vec::new();
    match verified {
        Ok(()) => result.extend(TRUE),
        Err(error) => put_bytes(&mut result, 2, error.as_bytes()),
    }
    Ok(result)
}

/// `sign`: from a `SignArguments` to a `SignResult`.
///
/// # Errors
/// `BAD_ARGUMENT`
pub fn sign(arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let fields = Fields { signature: None, text: 3, pem: 4 };
    let arguments = Arguments::read(arguments, &fields).ok_or(Status::BadArgument)?;
    let signature = arguments.hash().and_then(|hash| {
        let key = PrivateKey::read(arguments.key, arguments.pem)
            .ok_or("Invalid key type: private key required for signing operation.")?;
        Ok(key.sign(hash, &hash.digest(arguments.text)).ok_or("Failed to create signature.")?)
    });
    let mut result = Vec::new();
    match signature {
        Ok(signature) => {
            result.extend(TRUE);
            put_bytes(&mut result, 2, &signature);
        }
        Err(error) => put_bytes(&mut result, 3, error.as_bytes()),
    }
    Ok(result)
}

/// Field 1 of both results.
const TRUE: [u8; 2] = [1 << 3, 1];

#[cfg(test)]
mod tests;
