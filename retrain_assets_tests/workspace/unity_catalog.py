"""Unity Catalog: catalogs, schemas, tables and volumes, and which privileges who has on them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.catalog import (
    CatalogInfo,
    CatalogsAPI,
    ColumnInfo,
    ColumnTypeName,
    DataSourceFormat,
    EffectivePermissionsList,
    EffectivePrivilege,
    EffectivePrivilegeAssignment,
    GrantsAPI,
    ListCatalogsResponse,
    ListSchemasResponse,
    ListTablesResponse,
    ListVolumesResponseContent,
    Privilege,
    SchemaInfo,
    SchemasAPI,
    TableExistsResponse,
    TableInfo,
    TablesAPI,
    TableType,
    VolumeInfo,
    VolumesAPI,
    VolumeType,
)

from .routes import ApiError, Request

if TYPE_CHECKING:
    from .workspace import Workspace

API = "/api/2.1/unity-catalog"
OWNER = "platform@example.com"

TYPES = {
    "byte": ColumnTypeName.BYTE,
    "short": ColumnTypeName.SHORT,
    "integer": ColumnTypeName.INT,
    "long": ColumnTypeName.LONG,
    "float": ColumnTypeName.FLOAT,
    "double": ColumnTypeName.DOUBLE,
    "boolean": ColumnTypeName.BOOLEAN,
    "string": ColumnTypeName.STRING,
    "binary": ColumnTypeName.BINARY,
    "date": ColumnTypeName.DATE,
    "timestamp": ColumnTypeName.TIMESTAMP,
    "timestamp_ntz": ColumnTypeName.TIMESTAMP_NTZ,
}


@dataclass(frozen=True)
class Table:
    """A Delta or Parquet table on this machine; ``location`` is what the catalog says of where it is."""

    name: str
    folder: Path
    format: DataSourceFormat
    location: str


def register(workspace: Workspace) -> None:
    catalog = UnityCatalog(workspace)
    workspace.parts["unity_catalog"] = catalog
    add = workspace.routes.add
    add("GET", f"{API}/catalogs", catalog.list_catalogs, accepts=CatalogsAPI.list)
    add("GET", f"{API}/catalogs/{{name}}", catalog.get_catalog, accepts=CatalogsAPI.get)
    add("GET", f"{API}/schemas", catalog.list_schemas, accepts=SchemasAPI.list)
    add("POST", f"{API}/schemas", catalog.create_schema, accepts=SchemasAPI.create)
    add("GET", f"{API}/schemas/{{full_name}}", catalog.get_schema, accepts=SchemasAPI.get)
    add("GET", f"{API}/tables", catalog.list_tables, accepts=TablesAPI.list)
    add("GET", f"{API}/tables/{{full_name}}", catalog.get_table, accepts=TablesAPI.get)
    add("GET", f"{API}/tables/{{full_name}}/exists", catalog.table_exists, accepts=TablesAPI.exists)
    add("GET", f"{API}/volumes", catalog.list_volumes, accepts=VolumesAPI.list)
    add("POST", f"{API}/volumes", catalog.create_volume, accepts=VolumesAPI.create)
    add("GET", f"{API}/volumes/{{name}}", catalog.read_volume, accepts=VolumesAPI.read)
    effective = f"{API}/effective-permissions/{{securable_type}}/{{full_name}}"
    add("GET", effective, catalog.effective_permissions, accepts=GrantsAPI.get_effective)


@dataclass
class UnityCatalog:
    """What there is, and who may do what: ``granted`` on a catalog, schema or object limits its users to what it names."""

    workspace: Workspace
    schemas: set[str] = field(default_factory=set)
    tables: dict[str, Table] = field(default_factory=dict)
    granted: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    def add_schema(self, name: str) -> None:
        """Make a schema such as ``main.models``, and its catalog."""
        self.schemas.add(name)

    def add_table(
        self, name: str, folder: Path, *, format: DataSourceFormat = DataSourceFormat.DELTA, location: str | None = None
    ) -> Table:
        """Make the table of a folder known by its three-level name.

        ``location`` is what the catalog answers as its storage location; without it, the folder's own ``file:`` URI.
        """
        self.schemas.add(name.rpartition(".")[0])
        self.tables[name] = Table(name, folder, format, location or folder.as_uri())
        return self.tables[name]

    def grant(self, name: str, privileges: Mapping[str, Set[str]]) -> None:
        """From now on users have these privileges on an object and what is below it, and nobody else any there."""
        self.granted[name] = {user: set(own) for user, own in privileges.items()}

    def has(self, user: str, name: str, privilege: str) -> bool:
        """Whether a user has a privilege on an object, its schema or its catalog."""
        levels = self._levels(name)
        if not any(level in self.granted for level in levels):
            return True
        own = {one for level in levels for one in self.granted.get(level, {}).get(user, ())}
        return privilege in own or "ALL_PRIVILEGES" in own

    def require(self, user: str, name: str, *privileges: str) -> None:
        """Refuse a user who lacks one of the privileges, as the catalog words it."""
        for privilege in privileges:
            if not self.has(user, name, privilege):
                kind = {"USE_CATALOG": "Catalog", "USE_SCHEMA": "Schema", "CREATE_MODEL": "Schema"}.get(privilege, "Object")
                on = {"Catalog": self._levels(name)[0], "Schema": ".".join(name.split(".")[:2])}.get(kind, name)
                said = f"PERMISSION_DENIED: User does not have {privilege.replace('_', ' ')} on {kind} '{on}'."
                raise ApiError(403, "PERMISSION_DENIED", said)

    def require_schema(self, user: str, name: str) -> None:
        """Refuse a schema that is not there or may not be used."""
        catalog = name.partition(".")[0]
        if catalog not in self.catalogs():
            raise ApiError(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{catalog}' does not exist.")
        self.require(user, name, "USE_CATALOG")
        if name not in self.all_schemas():
            raise ApiError(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{name}' does not exist.")
        self.require(user, name, "USE_SCHEMA")

    def catalogs(self) -> list[str]:
        return sorted({name.partition(".")[0] for name in self.all_schemas()})

    def all_schemas(self) -> set[str]:
        """Those that were made, and those of the volumes."""
        return self.schemas | {name.rpartition(".")[0] for name in self.workspace.volumes.all}

    def list_catalogs(self, request: Request) -> ListCatalogsResponse:
        return ListCatalogsResponse(catalogs=[CatalogInfo(name=name, full_name=name, owner=OWNER) for name in self.catalogs()])

    def get_catalog(self, request: Request, name: str) -> CatalogInfo:
        if name not in self.catalogs():
            raise ApiError(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{name}' does not exist.")
        self.require(request.user, name, "USE_CATALOG")
        return CatalogInfo(name=name, full_name=name, owner=OWNER)

    def list_schemas(self, request: Request) -> ListSchemasResponse:
        own = f"{request.query['catalog_name']}."
        return ListSchemasResponse(schemas=[_schema(name) for name in sorted(self.all_schemas()) if name.startswith(own)])

    def create_schema(self, request: Request) -> SchemaInfo:
        name = f"{request.body['catalog_name']}.{request.body['name']}"
        if name in self.all_schemas():
            raise ApiError(409, "SCHEMA_ALREADY_EXISTS", f"Schema '{name}' already exists")
        self.add_schema(name)
        return _schema(name)

    def get_schema(self, request: Request, full_name: str) -> SchemaInfo:
        self.require_schema(request.user, full_name)
        return _schema(full_name)

    def list_tables(self, request: Request) -> ListTablesResponse:
        own = f"{request.query['catalog_name']}.{request.query['schema_name']}."
        return ListTablesResponse(tables=[_table(one) for name, one in sorted(self.tables.items()) if name.startswith(own)])

    def get_table(self, request: Request, full_name: str) -> TableInfo:
        return _table(self.found_table(request.user, full_name))

    def table_exists(self, request: Request, full_name: str) -> TableExistsResponse:
        self.require_schema(request.user, full_name.rpartition(".")[0])
        return TableExistsResponse(table_exists=full_name in self.tables)

    def found_table(self, user: str, name: str) -> Table:
        """A table that the user may read."""
        self.require_schema(user, name.rpartition(".")[0])
        if name not in self.tables:
            raise ApiError(404, "TABLE_DOES_NOT_EXIST", f"Table '{name}' does not exist.")
        self.require(user, name, "SELECT")
        return self.tables[name]

    def list_volumes(self, request: Request) -> ListVolumesResponseContent:
        own = f"{request.query['catalog_name']}.{request.query['schema_name']}."
        names = sorted(name for name in self.workspace.volumes.all if name.startswith(own))
        return ListVolumesResponseContent(volumes=[_volume(name) for name in names])

    def create_volume(self, request: Request) -> VolumeInfo:
        schema = f"{request.body['catalog_name']}.{request.body['schema_name']}"
        self.require_schema(request.user, schema)
        self.require(request.user, schema, "CREATE_VOLUME")
        name = f"{schema}.{request.body['name']}"
        if name in self.workspace.volumes.all:
            raise ApiError(409, "ALREADY_EXISTS", f"Volume '{name}' already exists")
        self.workspace.add_volume(name)
        return _volume(name)

    def read_volume(self, request: Request, name: str) -> VolumeInfo:
        self.require_schema(request.user, name.rpartition(".")[0])
        if name not in self.workspace.volumes.all:
            raise ApiError(404, "VOLUME_DOES_NOT_EXIST", f"Volume '{name}' does not exist.")
        return _volume(name)

    def effective_permissions(self, request: Request, securable_type: str, full_name: str) -> EffectivePermissionsList:
        """Of those who were granted something; where nothing was limited, everybody has all."""
        levels = [level for level in self._levels(full_name) if level in self.granted]
        users = sorted({user for level in levels for user in self.granted[level]}) if levels else [request.user]
        wanted = request.query.get("principal")
        return EffectivePermissionsList(
            privilege_assignments=[
                EffectivePrivilegeAssignment(user, self._privileges(user, levels)) for user in users if wanted in (None, user)
            ]
        )

    def _privileges(self, user: str, levels: list[str]) -> list[EffectivePrivilege]:
        if not levels:
            return [EffectivePrivilege(privilege=Privilege.ALL_PRIVILEGES)]
        return [
            EffectivePrivilege(inherited_from_name=level, privilege=Privilege(one))
            for level in levels
            for one in sorted(self.granted[level].get(user, ()))
        ]

    @staticmethod
    def _levels(name: str) -> list[str]:
        parts = name.split(".")
        return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _schema(name: str) -> SchemaInfo:
    catalog, _, own = name.partition(".")
    return SchemaInfo(name=own, catalog_name=catalog, full_name=name, owner=OWNER)


def _volume(name: str) -> VolumeInfo:
    catalog, schema, own = name.split(".")
    return VolumeInfo(
        name=own,
        catalog_name=catalog,
        schema_name=schema,
        full_name=name,
        owner=OWNER,
        volume_type=VolumeType.MANAGED,
        storage_location=f"s3://metastore/__unitystorage/volumes/{name}",
    )


def _table(table: Table) -> TableInfo:
    catalog, schema, own = table.name.split(".")
    return TableInfo(
        name=own,
        catalog_name=catalog,
        schema_name=schema,
        full_name=table.name,
        table_type=TableType.EXTERNAL,
        data_source_format=table.format,
        storage_location=table.location,
        table_id=_table_id(table),
        owner=OWNER,
        columns=_columns(table),
    )


def _table_id(table: Table) -> str | None:
    from deltalake import DeltaTable

    return str(DeltaTable(str(table.folder)).metadata().id) if table.format is DataSourceFormat.DELTA else None


def _columns(table: Table) -> list[ColumnInfo]:
    from deltalake import DeltaTable

    if table.format is not DataSourceFormat.DELTA:
        return []
    return [_column(place, one) for place, one in enumerate(DeltaTable(str(table.folder)).schema().fields)]


def _column(place: int, column: Any) -> ColumnInfo:
    kind = getattr(column.type, "type", "")
    known = ColumnTypeName.DECIMAL if kind.startswith("decimal") else TYPES.get(kind, ColumnTypeName.STRUCT)
    text = {"integer": "int", "long": "bigint", "short": "smallint", "byte": "tinyint"}.get(kind, kind)
    return ColumnInfo(name=column.name, position=place, nullable=column.nullable, type_name=known, type_text=text)
