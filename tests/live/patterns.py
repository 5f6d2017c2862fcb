"""Patterns of ids, names, accounts, signatures, addresses and people in texts of Azure. Pure.

A group `keep` is what stays before the value, a group `value` what is replaced.
"""

from __future__ import annotations

import re
from typing import Final

#: Values that were replaced already: `<uuid-4f1c2a9b>`, `<person>`, `<ssh public key>`.
REFERENCE: Final = re.compile(r"<[^<>\n]{1,60}>")

_STOP = r"""/?#&"'\s<>\\,;)(\]"""

#: Kinds of what is replaced, in this order.
PATTERNS: Final = (
    # Signatures of SAS URLs, and of the addresses of operations (Location, Azure-AsyncOperation).
    ("signature", re.compile(r"(?P<keep>[?&;]sig=)(?P<value>[^&\s\"'<>]+)", re.IGNORECASE)),
    ("signature", re.compile(r"(?P<keep>[?&][csh]=)(?P<value>[^&\s\"'<>]{16,})")),
    ("person", re.compile(r"(?P<value>[\w.+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+)")),
    # Before ids: names of Resource Manager.
    ("subscription", re.compile(rf"(?P<keep>/subscriptions/)(?P<value>[^{_STOP}]+)", re.IGNORECASE)),
    ("group", re.compile(rf"(?P<keep>/resourceGroups/)(?P<value>[^{_STOP}]+)", re.IGNORECASE)),
    (
        "name",
        re.compile(
            r"(?P<keep>/providers/(?:Microsoft\.(?:Storage/storageAccounts|KeyVault/vaults"
            r"|ContainerRegistry/registries|Insights/components|ManagedIdentity/userAssignedIdentities"
            r"|Network/\w+|OperationalInsights/workspaces|MachineLearningServices/(?:workspaces|registries)))/)"
            rf"(?P<value>[^{_STOP}]+)",
            re.IGNORECASE,
        ),
    ),
    # Hosts of accounts.
    (
        "account",
        re.compile(
            r"(?P<value>[a-z0-9][a-z0-9-]{1,62})(?=\.(?:(?:blob|file|dfs|queue|table|web)\.(?:core|storage)\.\w+"
            r"|vault(?:core)?\.(?:azure|usgovcloudapi)\.|azurecr\.|(?:[a-z0-9-]+\.)?instances\.azureml\.|\w+\.inference\.ml\.))",
            re.IGNORECASE,
        ),
    ),
    (
        "uuid",
        re.compile(
            r"(?<![0-9a-f])(?P<value>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-f])", re.I
        ),
    ),
    (
        "id",
        re.compile(
            r"(?<![0-9A-Za-z])(?P<value>[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}|(?=[0-9a-f]{0,15}[a-f])[0-9a-f]{16})(?![0-9A-Za-z])",
            re.I,
        ),
    ),
    (
        "address",
        re.compile(
            r"(?<![\w.])(?P<value>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?::\d+)?)(?!\w|\.\w)"
        ),
    ),
    (
        "address",
        re.compile(
            r"(?<![\w:.])(?P<value>(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){2,6}(?::[0-9a-f]{1,4}){1,4}|"
            r"(?:[0-9a-f]{1,4}:){1,6}:[0-9a-f]{1,4})(?![\w:])",
            re.I,
        ),
    ),
)

#: Kinds of values by the key that has them, in lower case. Only texts are replaced.
KEYS: Final = {
    **dict.fromkeys(
        (
            *("createdby", "lastmodifiedby", "username", "useremail", "userprincipalname", "principalname"),
            *("adminusername", "givenname", "surname", "mail", "assigneduser", "submittedby"),
            *("userpuid", "userobjectid", "usertenantid", "useridp", "useraltsecid", "useriss"),
        ),
        "person",
    ),
    **dict.fromkeys(("accountname", "storageaccountname"), "account"),
    **dict.fromkeys(("sastoken", "primarykey", "secondarykey", "adminuserpassword", "adminusersshpublickey"), "secret"),
}

#: Headers of answers that hold secrets.
SECRET_HEADERS: Final = frozenset({"set-cookie", "authorization", "cookie", "proxy-authorization"})
