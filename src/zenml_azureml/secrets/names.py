"""Classification of values as secret or harmless by their names. Pure."""

from __future__ import annotations

import re
from typing import Final

_UPPER: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

#: Words that mark a name as one of a secret, anywhere in the name.
_WORDS: Final = frozenset(
    {
        *("PASS", "PW", "PWD", "PSWD", "PASSWD", "PIN", "PINS", "PINCODE", "KEY", "KEYS", "PRIVATE", "PRIV"),
        *("CRED", "CREDS", "AUTH", "OAUTH", "BEARER", "AUTHORIZATION", "SAS", "DSN", "PAT", "JWT", "OTP", "TOTP"),
        *("MFA", "SIG", "SIGNATURE", "HMAC", "CERT", "CERTS", "CERTIFICATE", "CIPHER", "SALT", "PEPPER", "NONCE"),
        *("PEM", "PFX", "JKS", "KEYSTORE", "KEYRING", "KEYTAB", "KUBECONFIG", "NETRC", "PGPASS", "SSHPASS"),
        *("COOKIE", "COOKIES", "SESSIONID", "CONN", "CONNSTR", "HOOK", "HOOKS", "MNEMONIC", "CSRF", "XSRF"),
        *("RSA", "DSA", "PGP", "GPG"),
    }
)

#: The same, for parts of longer words; compared with the name without separators.
_PARTS: Final = re.compile(
    r"PASSW|PASSPHRASE|PASSCODE|PASSKEY|SECRET|TOKEN(?!IZ)|CREDENTIAL|APIKEY|ACCESSKEY|ACCOUNTKEY|PRIVATEKEY|SSHKEY"
    r"|CONNECTIONSTR|CONNSTR|WEBHOOK|SIGNATURE|SASUR[LI]|SESSIONID|SEEDPHRASE|RECOVERYCODE|BACKUPCODE|BASICAUTH"
    r"|DOCKERCONFIG|DOCKERAUTH|ENCRYPTIONKEY|COOKIE|SHAREDACCESS|IDENTITYHEADER|FERNET|HTPASSWD|KENNWORT|CONTRASENA"
    r"|MOTDEPASSE|(ACCESS|SECURITY|UNLOCK|AUTH|LOGIN|VERIFICATION|ACTIVATION|INVITE)CODE"
)

#: Endings of single words without separators, such as DBPASS, and harmless words with such an ending.
_ENDS: Final = re.compile(r"(PASS|PWD|KEY|AUTH|PIN|SAS|DSN|CREDS?)S?$")
_NOT_THOSE: Final = frozenset(
    {
        *("COMPASS", "BYPASS", "OVERPASS", "UNDERPASS", "FORWARDPASS", "MONKEY", "TURKEY", "DONKEY", "WHISKEY"),
        *("SPIN", "CHOPIN", "KANSAS", "HOTKEY", "HOTKEYS", "SACRED", "CUDAKEY"),
    }
)

#: Tokens of texts, not of sign-ins; and numbers of things.
_TEXT_TOKEN: Final = re.compile(
    r"(^|_)(PAD|EOS|BOS|UNK|MASK|SEP|CLS|START|STOP|END|SPECIAL|IMAGE|PER)_TOKENS?(_|$)"
    r"|(^|_)(NUM|MAX|MIN|N|TOTAL)_([A-Z]+_)?(TOKENS|KEYS|PASSES|HOOKS|CONNS?|CERTS)$"
)
#: Names of key vaults, and keys that are columns of tables.
_NO_KEY: Final = re.compile(r"(^|_)(KEY_?VAULT(_NAME|_UR[LI])?|(PRIMARY|SORT|FOREIGN|PARTITION|GROUP|JOIN)_KEYS?)$")

#: Words that always mean a secret: public fields refuse a value under such a name.
_STRONG: Final = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|PASSCODE|SECRET|TOKEN|CREDENTIALS?|API_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY"
    r"|ACCOUNT_?KEY|CONNECTION_?STRING|(^|_)PASS|(^|_)PWD|DBPASS|WEBHOOK(_UR[LI])?)$"
)

#: Names of variables that hold no secret, unless their value has the shape of one.
_HARMLESS: Final = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "SHELL", "HOSTNAME", "DEBIAN_FRONTEND"),
        # Ids of applications are no secrets of Microsoft Entra, and a job needs them before it has its secrets.
        *("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "DEFAULT_IDENTITY_CLIENT_ID"),
        *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "TOKENIZERS_PARALLELISM"),
    }
)
#: Names whose values are lists of folders, which may be relative; other values are not harmless.
_LISTS_OF_PATHS: Final = frozenset(
    {
        *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "CLASSPATH", "MANPATH", "PKG_CONFIG_PATH"),
        *("XDG_DATA_DIRS", "XDG_CONFIG_DIRS", "DYLD_LIBRARY_PATH", "LD_PRELOAD"),
    }
)
#: Names whose values are one file or folder; harmless if they begin like a path.
_PATHS: Final = frozenset(
    {
        *("PWD", "OLDPWD", "PYTHONHOME", "CUDA_HOME", "JAVA_HOME", "SSH_AUTH_SOCK", "REQUESTS_CA_BUNDLE", "TMPDIR"),
        *("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "VIRTUAL_ENV"),
        "AZURE_FEDERATED_TOKEN_FILE",
    }
)
#: Prefixes of variables of ZenML and of Azure ML, which hold no secret unless their names mean one.
_FAMILIES: Final = ("ZENML_", "AZUREML_", "AZURE_ML_", "LC_", "NCCL_", "OMP_", "CONDA_")
#: Of the same, variables with the kind of a store, and with the way in which ZenML signs in.
_KIND_OF_STORE: Final = re.compile(
    r"ZENML_(STORE|SECRETS_STORE|BACKUP_SECRETS_STORE)_(TYPE|CLASS_PATH|AUTH_METHOD|AUTH_MODE)"
)
#: Variables that this package sets in a job: see `contract/variables.py`.
_OURS: Final = "ZENML_AZUREML_JOB_"


def says_secret(name: str) -> bool:
    """True if a name indicates that its value is a secret.

    Args:
        name: Name of a variable, a tag, a field or a parameter, in any notation: `DB_PASS`, `dbPass`, `db-pass`.
    """
    words = [word.upper() for word in _UPPER.findall(name)]
    together = "_".join(words)
    if _NO_KEY.search(together) or _KIND_OF_STORE.fullmatch(name) or _TEXT_TOKEN.search(together):
        return False
    if _PARTS.search("".join(words)):
        return True
    return any(word in _WORDS or (_ENDS.search(word) and word not in _NOT_THOSE) for word in words)


def means_secret(name: str) -> bool:
    """True if a name always means a secret, as `password` does and `key` does not."""
    together = "_".join(word.upper() for word in _UPPER.findall(name))
    return says_secret(name) and _STRONG.search(together) is not None


def is_harmless(name: str) -> bool:
    """True if values under a name hold no secret."""
    return name in _HARMLESS or name.startswith(_OURS) or bool(_KIND_OF_STORE.fullmatch(name))


def may_be_paths(name: str, value: str) -> bool:
    """True if values under a name are files and folders, and the value begins like one."""
    return name in _LISTS_OF_PATHS or (name in _PATHS and value.startswith(("/", "./", "../", "~/")))


def is_of_harmless_family(name: str) -> bool:
    """True if a name is one of ZenML's or Azure ML's, and does not indicate a secret."""
    return name.startswith(_FAMILIES) and not says_secret(name)
