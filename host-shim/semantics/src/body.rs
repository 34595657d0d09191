//! Body bytes, with Envoy's rules for replacing parts of them.

use std::collections::TryReserveError;

use proxy_wasm_abi::enums::Status;

/// A run of body bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
}

impl Body {
    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the bytes out.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Appends; an empty body takes the bytes over without copying.
    ///
    /// # Errors
    /// There is no memory for them: the body stays as it was.
    pub fn append(&mut self, bytes: Vec<u8>) -> Result<(), TryReserveError> {
        /// Of a large body a quarter is room for more, not as much again.
        const LARGE: usize = 1024 * 1024;
        if self.bytes.is_empty() {
            self.bytes = bytes;
            return Ok(());
        }
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            if self.bytes.len() < LARGE {
                self.bytes.try_reserve(bytes.len())?;
            } else {
                self.bytes.try_reserve_exact(bytes.len().max(self.bytes.len() / 4))?;
            }
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    /// The bytes from `start`, `len` of them or as many as there are.
    pub fn range(&self, start: u32, len: u32) -> &[u8] {
        let start = (start as usize).min(self.bytes.len());
        let rest = &self.bytes[start..];
        &rest[..rest.len().min(len as usize)]
    }

    /// Puts `data` in the place of `len` bytes at `start`: at the front (`len` 0 prepends, a `len` past the end
    /// replaces everything) or, from the end on, behind. Anywhere else is a bad argument and changes nothing.
    pub fn replace(&mut self, start: u32, len: u32, data: &[u8]) -> Result<(), Status> {
        if start == 0 {
            let end = (len as usize).min(self.bytes.len());
            self.bytes.splice(..end, data.iter().copied());
            Ok(())
        } else if start as usize >= self.bytes.len() {
            self.bytes.extend_from_slice(data);
            Ok(())
        } else {
            Err(Status::BadArgument)
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(start: u32, len: u32, data: &str) -> Result<String, Status> {
        let mut body = Body::from(b"hello".to_vec());
        body.replace(start, len, data.as_bytes())?;
        Ok(String::from_utf8(body.take()).unwrap())
    }

    #[test]
    fn replace_follows_envoy() {
        assert_eq!(replaced(0, 0, "x"), Ok("xhello".into()));
        assert_eq!(replaced(0, 2, "x"), Ok("xllo".into()));
        assert_eq!(replaced(0, 5, "x"), Ok("x".into()));
        assert_eq!(replaced(0, u32::MAX, ""), Ok("".into()));
        assert_eq!(replaced(5, 0, "x"), Ok("hellox".into()));
        assert_eq!(replaced(u32::MAX, u32::MAX, "x"), Ok("hellox".into()));
        assert_eq!(replaced(2, 1, "x"), Err(Status::BadArgument));
    }

    #[test]
    fn range_is_clamped() {
        let body = Body::from(b"hello".to_vec());
        assert_eq!(body.range(0, u32::MAX), b"hello");
        assert_eq!(body.range(3, 1), b"l");
        assert_eq!(body.range(u32::MAX, u32::MAX), b"");
    }
}
