"""The texts of all messages, in English and Indonesian."""

from __future__ import annotations

CATALOG = {
    "en": {
        "panic": "{name} ({symbol}) fell {move} below its high",
        "reversal": "{name} ({symbol}) rose {move} above its low",
        "panic_mark": "High: {price} on {time}",
        "reversal_mark": "Low: {price} on {time}",
        "price": "Price: {value}",
        "threshold": "Threshold: {threshold}, alert level {level}",
        "holding": "You hold {quantity} {symbol}: {value}, {change} since then",
        "holding_value": "  You hold {quantity} {symbol}: {value}",
        "no_rate": "no rupiah rate",
        "market_panic": "Market-wide move: {count} of {watched} watched coins fell",
        "market_reversal": "Market-wide move: {count} of {watched} watched coins rose",
        "within": "These coins reached their thresholds within {minutes} minutes:",
        "more": "and {count} more coins",
        "backup_failed": "Market Sentinel: the backup failed",
        "backup_failed_body": (
            "{problem}\nLast verified backup: {last}. No older backup was deleted."
        ),
        "none": "none",
        "test": "Market Sentinel: test message",
        "test_body": "This target works. Alerts will arrive here.",
    },
    "id": {
        "panic": "{name} ({symbol}) turun {move} dari puncaknya",
        "reversal": "{name} ({symbol}) naik {move} dari titik terendahnya",
        "panic_mark": "Puncak: {price} pada {time}",
        "reversal_mark": "Titik terendah: {price} pada {time}",
        "price": "Harga: {value}",
        "threshold": "Ambang: {threshold}, tingkat peringatan {level}",
        "holding": "Anda memiliki {quantity} {symbol}: {value}, {change} sejak saat itu",
        "holding_value": "  Anda memiliki {quantity} {symbol}: {value}",
        "no_rate": "kurs rupiah tidak ada",
        "market_panic": "Seluruh pasar: {count} dari {watched} koin yang dipantau turun",
        "market_reversal": "Seluruh pasar: {count} dari {watched} koin yang dipantau naik",
        "within": "Koin-koin ini mencapai ambangnya dalam {minutes} menit:",
        "more": "dan {count} koin lagi",
        "backup_failed": "Market Sentinel: pencadangan gagal",
        "backup_failed_body": (
            "{problem}\nCadangan terverifikasi terakhir: {last}. "
            "Tidak ada cadangan lama yang dihapus."
        ),
        "none": "belum ada",
        "test": "Market Sentinel: pesan uji",
        "test_body": "Tujuan ini berfungsi. Peringatan akan tiba di sini.",
    },
}
