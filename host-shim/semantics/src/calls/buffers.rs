//! Body and configuration buffers.

use proxy_wasm_abi::enums::{BufferType, Status};

use super::CallResult;
use crate::{body::Body, running::Phase, state::ChainState, stream::Direction};

/// Bytes on their way to the filter: its memory is allocated before they are copied, without holding the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    buffer: BufferType,
    start: u32,
    /// Their number.
    pub len: u32,
}

impl ChainState {
    /// `proxy_get_buffer_bytes`: which bytes; [`bytes`](Self::bytes) has them.
    pub fn get_buffer_bytes(&mut self, buffer: u32, start: u32, len: u32) -> CallResult<Blob> {
        let buffer = BufferType::from_u32(buffer).ok_or(Status::BadArgument)?;
        let len = range(self.buffer(buffer)?, start, len).len() as u32;
        Ok(Blob { buffer, start, len })
    }

    /// The bytes that a [`Blob`] stands for.
    pub fn bytes(&mut self, blob: Blob) -> &[u8] {
        self.buffer(blob.buffer).map_or(&[], |buffer| range(buffer, blob.start, blob.len))
    }

    /// `proxy_get_buffer_status`: the number of bytes; the flags are always 0.
    pub fn get_buffer_status(&mut self, buffer: u32) -> CallResult<u32> {
        let buffer = BufferType::from_u32(buffer).ok_or(Status::BadArgument)?;
        Ok(self.buffer(buffer)?.len() as u32)
    }

    /// `proxy_set_buffer_bytes`
    pub fn set_buffer_bytes(&mut self, buffer: u32, start: u32, len: u32, data: &[u8]) -> CallResult {
        let buffer = BufferType::from_u32(buffer).ok_or(Status::BadArgument)?;
        // Finds out whether there is such a buffer at all: that is another status.
        self.buffer(buffer)?;
        let direction = match buffer {
            BufferType::RequestBody => Direction::Request,
            BufferType::ResponseBody => Direction::Response,
            BufferType::GrpcMessage => {
                return self.vm_mut().grpc.message.as_mut().ok_or(Status::BadArgument)?.replace(start, len, data);
            }
            _ => return Err(Status::BadArgument),
        };
        let (stream, plugin) = self.stream_mut().ok_or(Status::BadArgument)?;
        stream.body_mut(direction, plugin).ok_or(Status::BadArgument)?.replace(start, len, data)?;
        stream.message_mut(direction).change();
        Ok(())
    }

    /// The buffer's bytes; `NotFound` for one that is not there, nothing for one that is empty now.
    fn buffer(&mut self, buffer: BufferType) -> CallResult<&[u8]> {
        match buffer {
            BufferType::VmConfiguration => Ok(&self.plugin().vm_configuration),
            BufferType::PluginConfiguration if self.running.phase() == Phase::Configuring => {
                Ok(&self.plugin().configuration)
            }
            BufferType::RequestBody => Ok(self.body(Direction::Request)),
            BufferType::ResponseBody => Ok(self.body(Direction::Response)),
            BufferType::HttpCallResponseBody => match &self.vm().callouts.response {
                Some(response) => Ok(&response.body),
                None => Err(Status::NotFound),
            },
            BufferType::PluginConfiguration => Err(Status::NotFound),
            BufferType::GrpcMessage => Ok(self.vm().grpc.message.as_ref().map_or(&[], Body::as_slice)),
            BufferType::CallData => Ok(self.vm().dns.answer.as_deref().unwrap_or_default()),
            BufferType::DownstreamData | BufferType::UpstreamData => Ok(&[]),
        }
    }

    fn body(&mut self, direction: Direction) -> &[u8] {
        let body = self.stream_mut().and_then(|(stream, plugin)| stream.body_mut(direction, plugin));
        body.map_or(&[], |body| body.as_slice())
    }
}

fn range(bytes: &[u8], start: u32, len: u32) -> &[u8] {
    let rest = bytes.get(start as usize..).unwrap_or_default();
    &rest[..rest.len().min(len as usize)]
}
