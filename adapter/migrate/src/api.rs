//! The messages that Envoy knows, as descriptors: `api/envoy.binpb.zlib`, which `api/build.sh` takes out of Envoy itself.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// A serialized `FileDescriptorSet`, compressed.
const ENVOY: &[u8] = include_bytes!("../api/envoy.binpb.zlib");

/// The messages. They are decoded when the first configuration wants one.
pub(crate) fn messages() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        let bytes = miniz_oxide::inflate::decompress_to_vec_zlib(ENVOY).expect("api/envoy.binpb.zlib is whole");
        DescriptorPool::decode(bytes.as_slice()).expect("api/envoy.binpb.zlib is a set of descriptors")
    });
    &POOL
}

/// Whether a message that Envoy knows is in this package.
pub(crate) fn has_package(name: &str) -> bool {
    messages().files().any(|file| file.package_name() == name)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn what_envoy_knows() {
        for name in [
            "envoy.config.bootstrap.v3.Bootstrap",
            "envoy.config.core.v3.HeaderValueOption",
            "envoy.config.route.v3.RouteConfiguration",
            "envoy.extensions.filters.http.rbac.v3.RBAC",
            "envoy.extensions.wasm.v3.PluginConfig",
            "envoy.service.discovery.v3.DiscoveryResponse",
            "google.api.HttpBody",
            "google.protobuf.FieldMask",
            "google.rpc.Status",
            "opentelemetry.proto.trace.v1.Span",
            "udpa.type.v1.TypedStruct",
            "xds.type.v3.TypedStruct",
        ] {
            assert!(messages().get_message_by_name(name).is_some(), "{name}");
        }
        assert!(has_package("envoy.config.core.v3"));
        assert!(!has_package("envoy.config"));
    }

    /// What the reader of JSON does not know how to write.
    #[test]
    fn no_message_has_groups_or_required_fields() {
        for message in messages().all_messages() {
            for field in message.fields() {
                assert!(!field.is_group(), "{}", field.full_name());
            }
        }
    }

    #[test]
    fn the_digest_fits() {
        let description: toml::Table = include_str!("../api/envoy.toml").parse().unwrap();
        let digest: String = Sha256::digest(ENVOY).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(description["artifact"].as_str(), Some(digest.as_str()), "run `adapter/migrate/api/build.sh`");
    }
}
