use proptest::prelude::*;

use super::*;

// Made for these tests, with OpenSSL.
const RSA: &str = "-----BEGIN PRIVATE KEY-----
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBALbrRBAQEu0rNQKN
Eq29mneCR4ZMRam0ruSOIyWHjOqisn4ITYc1t2RFWmrl/L3a2pYm2hF+uCbTnYNK
Lg1uG/2cvobiQT8PR6HM3tI74W9Q2kJfXG90u19uLrT5eRBLATkV/PZ1a9hqFnLG
USG4NVVrZ3//jBraPjNsdZ1BxDc1AgMBAAECgYEAr0E0Igu0hoWaMYqGde4ufAhX
jQWwzQsvcg35ALEhw4EEcRp1ZXGC91A3dCpMgH6aZbhtwMtfltuzk6HUA8wWhcSt
TnvspM86mvbLwGRYbBB5meBkGqOPvzOQOQRPQwS8617sn25FHe+chKuqwLL1PpSy
WgYjZdxZ3LJRyZXdrEECQQDjGDnA9br8y9MvvXvJ7BrJXoebrVBKEyKIKZwAvYXK
3tMY1X5+Dpuk8KPlqExGtzjCVzaLe2mviXFlkV1dQlhxAkEAzjOZCw3owCaQY4LK
NBk25NDV+n/o5hizBUsA+NymLez27W/yyW8zK3qd+RZXSQhULF5KIM+PzCYhpPvv
/AbNBQJAJo57Z8aQ29DjZ0ydktfyaFQTZBwV8K21BDdEVF/ZMmuIncPJuS9Tv7pX
qWtcn/kFuwFBsobel74XMa5vkqDsEQJBALmKIBmcSGQtzxpbY0qBra0yZHfkhFIW
w27t0FAdasJESOPZKaMrFeX3jRHGkn+6qNLLfPQNEBzn6rojoAssq2kCQGb/ItRq
UW+UU8TQj8yB+Dmo4HSvZtNyWxBZzdOCNfPkp9pUZQKWJV1EmikfnUrM64M65WVT
7CATnzPsv1KeTZc=
-----END PRIVATE KEY-----
";
const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC260QQEBLtKzUCjRKtvZp3gkeG
TEWptK7kjiMlh4zqorJ+CE2HNbdkRVpq5fy92tqWJtoRfrgm052DSi4Nbhv9nL6G
4kE/D0ehzN7SO+FvUNpCX1xvdLtfbi60+XkQSwE5Ffz2dWvYahZyxlEhuDVVa2d/
/4wa2j4zbHWdQcQ3NQIDAQAB
-----END PUBLIC KEY-----
";
const P256: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIw9dUKqlbavGVI54
g/8G2D79o8v4OjLnYcBtB+U009OhRANCAASGfHaTlGD5F+njr6PeIPlo0CN5qGsA
bzN3MYmnjksB0DAMOxS4PXbFWQXXtndH8fSSI+OUpZpmVMn+ETge9y9w
-----END PRIVATE KEY-----
";
const P256_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhnx2k5Rg+Rfp46+j3iD5aNAjeahr
AG8zdzGJp45LAdAwDDsUuD12xVkF17Z3R/H0kiPjlKWaZlTJ/hE4HvcvcA==
-----END PUBLIC KEY-----
";
const P384: &str = "-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDD85kv5VAedOk7qz6Db
tjV29aOZM7GkvBsjW6fyTpMxkf1inU40udbOi3wcB0xRt+ihZANiAATV1fyJk122
wQB27qfD4m613ptcCCdhsNwo2quNOSCeTpBaXBu8cMmtn6Fqk8xHxHhjKeDpWOgA
PlhCJl3oLoECQ0NtInUMVM4wmir91IXYhvh7CSukmv8xMQGmDPv2gsc=
-----END PRIVATE KEY-----
";
const P384_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE1dX8iZNdtsEAdu6nw+Jutd6bXAgnYbDc
KNqrjTkgnk6QWlwbvHDJrZ+hapPMR8R4Yyng6VjoAD5YQiZd6C6BAkNDbSJ1DFTO
MJoq/dSF2Ib4ewkrpJr/MTEBpgz79oLH
-----END PUBLIC KEY-----
";

const PAIRS: [(&str, &str); 3] = [(RSA, RSA_PUBLIC), (P256, P256_PUBLIC), (P384, P384_PUBLIC)];

/// SHA-256 of `text`, signed by OpenSSL with [`P256`].
const P256_SIGNATURE: &str = "3046022100eaaf10d314f3e1ee670757558e78da17c8dd4431f3913a57a8911681a8662801022100affee9027c50d7f4e9404fc10a56ec7b896ece9ea0fc0d7a329d029bcbb10ffa";

const HASHES: [&str; 5] = ["sha1", "sha224", "sha256", "sha384", "sha512"];

const VALID: Result<Vec<u8>, Status> = Ok(Vec::new());

fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, bytes) in fields {
        put_bytes(&mut message, *number, bytes);
    }
    message
}

fn verify_with(hash: &str, pem: &str, signature: &[u8], text: &[u8]) -> Result<Vec<u8>, Status> {
    let result = verify(&message(&[(1, hash.as_bytes()), (3, signature), (4, text), (5, pem.as_bytes())]))?;
    // The message of the result; none where it is valid.
    if result == TRUE { VALID } else { Ok(result[2..].to_vec()) }
}

fn signature_of(hash: &str, pem: &str, text: &[u8]) -> Vec<u8> {
    let result = sign(&message(&[(1, hash.as_bytes()), (3, text), (4, pem.as_bytes())])).unwrap();
    let mut signature = Vec::new();
    each_field(&result, |field| {
        match field {
            (1, Value::Number(1)) => {}
            (2, Value::Bytes(bytes)) => signature = bytes.to_vec(),
            other => panic!("{other:?}"),
        }
        Some(())
    });
    signature
}

fn der(pem: &str) -> Vec<u8> {
    pem::read(pem).unwrap().1
}

#[test]
fn what_is_signed_verifies() {
    for (private, public) in PAIRS {
        for hash in HASHES {
            let signature = signature_of(hash, private, b"text");
            assert_eq!(verify_with(hash, public, &signature, b"text"), VALID, "{hash}");
            for wrong in [verify_with(hash, public, &signature, b"texT"), verify_with(hash, public, b"", b"text")] {
                assert_eq!(wrong.unwrap(), b"Failed to verify digest. Error code: 0");
            }
        }
    }
}

#[test]
fn signatures_of_others_verify() {
    let signature: Vec<u8> = (0..P256_SIGNATURE.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&P256_SIGNATURE[at..at + 2], 16).unwrap())
        .collect();
    assert_eq!(verify_with("SHA256", P256_PUBLIC, &signature, b"text"), VALID);
}

#[test]
fn what_follows_a_key_does_not_count() {
    let mut key = der(P256_PUBLIC);
    key.push(0);
    let signature = signature_of("sha256", P256, b"text");
    assert_eq!(verify(&message(&[(1, b"sha256"), (2, &key), (3, &signature), (4, b"text")])), Ok(TRUE.to_vec()));
}

#[test]
fn one_key_is_wanted() {
    let key = der(P256_PUBLIC);
    assert_eq!(verify(&message(&[(1, b"sha256")])), Err(Status::BadArgument));
    assert_eq!(verify(&message(&[(2, &key), (5, P256_PUBLIC.as_bytes())])), Err(Status::BadArgument));
    assert_eq!(sign(b""), Err(Status::BadArgument));
}

#[test]
fn the_hash_is_looked_at_before_the_key() {
    assert_eq!(verify_with("md5", "x", b"", b"").unwrap(), b"md5 is not supported.");
    assert_eq!(verify_with("sha1", "x", b"", b"").unwrap(), b"Failed to initialize digest verify.");
    assert_eq!(verify_with("sha1", P256, b"", b"").unwrap(), b"Failed to initialize digest verify.");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = verify(&bytes);
        let _ = sign(&bytes);
        let _ = verify(&message(&[(1, b"sha256"), (2, &bytes)]));
        let _ = sign(&message(&[(1, b"sha256"), (2, &bytes)]));
        for (_, public) in PAIRS {
            let _ = verify_with("sha256", public, &bytes, b"text");
        }
    }

    /// Keys that are nearly keys.
    #[test]
    fn damaged_keys_are_answered(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for (private, public) in PAIRS {
            let damaged = |pem: &str| {
                let mut der = der(pem);
                let at = at.index(der.len());
                der[at] = byte;
                der.truncate(if cut { at + 1 } else { der.len() });
                der
            };
            let _ = verify(&message(&[(1, b"sha256"), (2, &damaged(public)), (3, b"abc"), (4, b"text")]));
            let _ = sign(&message(&[(1, b"sha256"), (2, &damaged(private)), (3, b"text")]));
        }
    }
}
