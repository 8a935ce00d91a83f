"""Settings are read from four places, and all errors come at once."""

from __future__ import annotations

from pathlib import Path

import pytest

import safe_zone
from safe_zone import ROOT, Settings, load_settings
from sentinel.config import ensure_state_dir
from sentinel.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests read neither the developer's `.env` nor the shipped config file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("")


def _config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config.json"
    path.write_text(text)
    return str(path)


def _load(environ: dict[str, str] | None = None, **flags: str | None) -> Settings:
    return load_settings(flags, environ=environ or {})


def test_the_defaults_store_the_top_500_in_the_embedded_database() -> None:
    settings = _load()
    assert (settings.mode, settings.limit, settings.targets) == ("ingest", 500, ())
    assert settings.database_url is None
    assert settings.state_dir == ROOT / ".sentinel"
    assert settings.registry_path == ROOT / "coin_registry.json"


def test_flags_beat_the_config_which_beats_the_defaults(tmp_path: Path) -> None:
    config = _config(tmp_path, '{"limit": 7, "targets": ["BTC", " eth "]}')
    assert load_settings({}, config=config, environ={}).limit == 7
    flags = {"mode": "dry-run", "limit": None, "targets": None}
    settings = load_settings(flags, config=config, environ={})
    assert (settings.mode, settings.limit, settings.targets) == ("dry-run", 7, ("BTC", "eth"))


def test_a_limit_on_the_command_line_beats_the_targets_of_the_config(tmp_path: Path) -> None:
    config = _config(tmp_path, '{"targets": ["BTC"]}')
    assert load_settings({"limit": "9"}, config=config, environ={}).targets == ()


def test_the_environment_beats_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COINGECKO_API_KEY=from-file\nSENTINEL_STATE_DIR=/from/file\n")
    settings = _load({"COINGECKO_API_KEY": "from-environment"})
    assert settings.api_key == "from-environment"
    assert settings.state_dir == Path("/from/file")


def test_a_tilde_is_the_home_directory_where_no_shell_replaces_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SENTINEL_STATE_DIR=~/state\nSENTINEL_REGISTRY=~/coins.json\n")
    settings = _load()
    assert settings.state_dir == Path.home() / "state"
    assert settings.registry_path == Path.home() / "coins.json"
    with pytest.raises(ConfigurationError, match="SENTINEL_STATE_DIR begins with ~"):
        _load({"SENTINEL_STATE_DIR": "~no-such-user/state"})


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_URL=postgresql://u:p@h/d",
        'DATABASE_URL="postgresql://u:p@h/d"',
        "DATABASE_URL='postgresql://u:p@h/d'  ",
        "  DATABASE_URL =  postgresql://u:p@h/d  ",
        "export DATABASE_URL=postgresql://u:p@h/d\r\n",
        "\ufeffDATABASE_URL=postgresql://u:p@h/d",
    ],
)
def test_quotes_and_blanks_in_the_env_file_are_removed(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line, encoding="utf-8")
    assert _load().database_url == "postgresql://u:p@h/d"


def test_only_quotes_around_the_whole_value_are_removed() -> None:
    url = "host=/sock user=postgres dbname='market'"
    assert _load({"DATABASE_URL": url}).database_url == url


def test_an_empty_value_counts_as_unset() -> None:
    assert _load({"DATABASE_URL": " ", "COINGECKO_API_KEY": "''"}) == _load()


def test_variables_and_keys_are_not_taken_from_each_others_place(tmp_path: Path) -> None:
    assert _load({"limit": "9", "targets": "BTC"}) == _load()
    config = _config(tmp_path, '{"DATABASE_URL": "postgresql://h/d"}')
    with pytest.raises(ConfigurationError, match="unknown key 'DATABASE_URL'"):
        load_settings({}, config=config, environ={})


@pytest.mark.parametrize("limit", ["0", "-5", "abc", "1.5", "", "٣"])
def test_an_invalid_limit_is_rejected(limit: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"--limit '{limit}' must be a whole number of coins"
    ):
        _load(limit=limit)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON (JSONDecodeError: Expecting property name"),
        ("[]", "must hold one JSON object"),
        ('{"limt": 5}', "unknown key 'limt'; did you mean 'limit'?"),
        ('{"colour": 5}', "unknown key 'colour'; known are mode, limit, targets"),
        ('{"limit": true}', "limit 'True' must be"),
        ('{"limit": "many"}', "limit 'many' must be"),
        ('{"mode": "fast"}', "mode 'fast' must be 'ingest', 'dry-run' or 'backfill'"),
        ('{"targets": 5}', "targets must be names"),
        ('{"targets": ["  "]}', "targets names no coin"),
        ("[" * 100_000, "cannot be read as JSON (RecursionError"),
        ('{"limit": ' + "9" * 5_000 + "}", "cannot be read as JSON (ValueError"),
        ('{"targets": ["BTC", 5]}', "targets must be names"),
    ],
)
def test_an_invalid_config_file_names_problem_and_remedy(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, config=_config(tmp_path, text), environ={})
    assert words in str(caught.value)


def test_a_config_file_named_by_a_flag_must_exist(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"cannot be read as JSON .FileNotFoundError: No such file or directory",
    ):
        load_settings({}, config=str(tmp_path / "nowhere.json"), environ={})
    with pytest.raises(
        ConfigurationError, match=r"cannot be read as JSON .IsADirectoryError: Is a directory"
    ):
        load_settings({}, config=str(tmp_path), environ={})


def test_all_errors_are_reported_at_once() -> None:
    environ = {"COINGECKO_IS_PRO": "perhaps", "COINGECKO_BASE_URL": "ftp://x", "DATABASE_URL": "x"}
    with pytest.raises(ConfigurationError) as caught:
        _load(environ, limit="0", mode="fast")
    for words in ("--limit", "--mode", "IS_PRO 'perhaps'", "COINGECKO_BASE_URL", "DATABASE_URL"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "mysql://u:hunter2@h/d",
        "postgresql+psycopg://u:hunter2@h/d",
        "hunter2",
        "http://h",
        "user:hunter2@http://h",
    ],
)
def test_an_address_of_another_database_is_rejected_without_repeating_it(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _load({"DATABASE_URL": value})
    assert "postgresql://USER:PASSWORD@HOST" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["postgres://u@h/d", "host=h dbname=d", "postgresql:///d"])
def test_every_address_form_of_libpq_is_accepted(value: str) -> None:
    assert _load({"DATABASE_URL": value}).database_url == value


def test_secrets_are_not_in_the_repr() -> None:
    settings = _load({"DATABASE_URL": "postgresql://u:hunter2@h/d", "COINGECKO_API_KEY": "k3y"})
    assert "hunter2" not in repr(settings)
    assert "k3y" not in repr(settings)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_an_invalid_key_is_rejected_without_repeating_it(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _load({"COINGECKO_API_KEY": key})
    assert key not in str(caught.value)


def test_the_pro_setting_without_a_key_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="COINGECKO_API_KEY is not set"):
        _load({"COINGECKO_IS_PRO": "true"})


@pytest.mark.parametrize(
    "url",
    [
        "api.coingecko.com",
        "http://",
        "http://h:port",
        "http://h?x=1",
        "http://h#x",
        "http://a b",
        "http://a..b/",
        "http://user:password@h",
    ],
)
def test_a_base_url_must_be_an_address(url: str) -> None:
    with pytest.raises(ConfigurationError, match="COINGECKO_BASE_URL must be an address"):
        _load({"COINGECKO_BASE_URL": url})


def test_targets_lose_blanks_and_repetitions_but_keep_nbsp() -> None:
    assert _load(targets=" BTC, ethereum ,,BTC, neo\u00a0").targets == (
        "BTC",
        "ethereum",
        "neo\u00a0",
    )


def test_targets_without_a_name_are_rejected() -> None:
    with pytest.raises(ConfigurationError, match="--targets names no coin"):
        _load(targets=" , ")


def test_schedule_and_quotas_are_read_from_the_config_file(tmp_path: Path) -> None:
    config = _config(
        tmp_path,
        '{"cadence_minutes": 30, "compute_units": 0.5, "backfill_credits_per_day": 0, '
        '"quotas": {"neon_compute_hours": 191.9, "actions_minutes": null}}',
    )
    settings = load_settings({}, config=config, environ={})
    assert (settings.cadence_minutes, settings.compute_units) == (30, 0.5)
    assert settings.backfill_credits_per_day == 0
    assert settings.quotas["neon_compute_hours"] == 191.9
    assert settings.quotas["actions_minutes"] is None
    assert settings.quotas["neon_storage_bytes"] == 500_000_000


def test_a_quota_of_zero_is_a_warning_and_is_not_watched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = _config(tmp_path, '{"quotas": {"neon_compute_hours": 0}}')
    assert load_settings({}, config=config, environ={}).quotas["neon_compute_hours"] is None
    assert "the quota neon_compute_hours is 0" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"quotas": 5}', "quotas must be an object"),
        ('{"quotas": {"neon_hours": 5}}', "did you mean 'neon_compute_hours'"),
        (
            '{"quotas": {"actions_minutes": -1}}',
            "quotas.actions_minutes '-1' must be a number above 0, or null",
        ),
        (
            '{"quotas": {"actions_minutes": "many"}}',
            "quotas.actions_minutes 'many' must be a number",
        ),
        ('{"cadence_minutes": 0}', "cadence_minutes '0' must be a whole number of minutes"),
        (
            '{"cadence_minutes": 99999999999999}',
            "must be a whole number of minutes, 1 to 1,000,000",
        ),
        ('{"compute_units": 1e400}', "compute_units 'inf'"),
        ('{"compute_units": 0}', "compute_units '0' must be a number above 0"),
        ('{"compute_units": "small"}', "compute_units 'small'"),
        ('{"backfill_credits_per_day": -1}', "whole number of credits, 0 to 1,000,000"),
    ],
)
def test_an_invalid_quota_or_cadence_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        load_settings({}, config=_config(tmp_path, text), environ={})
    assert message in str(info.value)


def test_neons_key_is_read_and_left_out_of_the_repr() -> None:
    settings = _load(
        {"NEON_API_KEY": "napi-secret", "NEON_PROJECT_ID": "p", "NEON_SUSPEND_AFTER_RUN": "true"}
    )
    assert (settings.neon_api_key, settings.suspend_after_run) == ("napi-secret", True)
    assert "napi-secret" not in repr(settings)


def test_a_state_directory_that_cannot_be_created_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="SENTINEL_STATE_DIR"):
        ensure_state_dir(tmp_path / "file" / "state")
    with pytest.raises(ConfigurationError, match="SENTINEL_STATE_DIR"):
        ensure_state_dir(tmp_path / "file")


def test_every_number_of_safe_zone_is_used() -> None:
    names = {n for n in vars(safe_zone) if n.isupper() and not n.startswith("_") and n != "ROOT"}
    packages = (ROOT / name for name in ("sentinel", "pipeline", "services"))
    paths = [*ROOT.glob("*.py"), *(path for package in packages for path in package.rglob("*.py"))]
    sources = [path.read_text() for path in paths]
    unread = {name for name in names if sum(text.count(name) for text in sources) < 2}
    assert not unread
