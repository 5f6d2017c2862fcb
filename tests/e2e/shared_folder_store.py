"""An artifact store that other machines can reach: a folder that they all have mounted, as over NFS.

ZenML's own local artifact store is the same folder, but says that it is local, which the built-in step
operator and every remote one refuses. A user would have this module in the image of the steps.
"""

from __future__ import annotations

from zenml.artifact_stores.local_artifact_store import (
    LocalArtifactStore,
    LocalArtifactStoreConfig,
    LocalArtifactStoreFlavor,
)


class SharedFolderConfig(LocalArtifactStoreConfig):
    @property
    def is_local(self) -> bool:
        return False


class SharedFolderStore(LocalArtifactStore):
    @property
    def local_path(self) -> str | None:
        return None


class SharedFolderFlavor(LocalArtifactStoreFlavor):
    @property
    def name(self) -> str:
        return "shared-folder"

    @property
    def config_class(self) -> type[SharedFolderConfig]:
        return SharedFolderConfig

    @property
    def implementation_class(self) -> type[SharedFolderStore]:
        return SharedFolderStore
