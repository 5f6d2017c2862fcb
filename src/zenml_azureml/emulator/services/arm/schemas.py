"""Schemas of what clients send for the resources beside a workspace: registries, key vaults and role assignments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from zenml_azureml.emulator.http.bounds import without_control_characters
from zenml_azureml.emulator.http.schemas import Schema, Tags, Text


class _Sku(Schema):
    name: str | None = None


class RegistrySchema(Schema):
    """The body of a container registry's PUT."""

    location: Text | None = None
    tags: Tags | None = None
    sku: _Sku | None = None
    properties: dict[str, Any] | None = None


class _Permissions(Schema):
    secrets: list[str] | None = None


class _AccessPolicy(Schema):
    object_id: str | None = Field(None, alias="objectId")
    permissions: _Permissions | None = None


class _Vault(Schema):
    uses_roles: bool | None = Field(None, alias="enableRbacAuthorization")
    access_policies: list[_AccessPolicy] | None = Field(None, alias="accessPolicies")


class VaultSchema(Schema):
    """The body of a key vault's PATCH."""

    properties: _Vault | None = None


class _RoleAssignment(Schema):
    definition: str | None = Field(None, alias="roleDefinitionId")
    principal: Annotated[str, AfterValidator(without_control_characters)] | None = Field(None, alias="principalId")
    kind: Literal["User", "Group", "ServicePrincipal", "ForeignGroup", "Device"] | None = Field(
        None, alias="principalType"
    )


class RoleAssignmentSchema(Schema):
    """The body of a role assignment's PUT."""

    properties: _RoleAssignment | None = None
