"""The texts of the page that shows the portfolio in percentages."""

from __future__ import annotations

from collections.abc import Mapping

from sentinel.amounts import Language

TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Portfolio",
        "skip": "Skip to the content",
        "language": "Language",
        "lead": "In percentages only. The link shows no amounts.",
        "empty": "The portfolio is empty.",
        "allocation": "Allocation",
        "others": "{count} smaller holdings: {part}",
        "no_price": "no price",
        "returns": "Time-weighted return",
        "period": "Period",
        "portfolio": "Portfolio",
        "returns_note": "In US dollars. Money that was paid in or out does not count. "
        "A dash: a price is missing, or the period begins with the first payment.",
        "24h": "24 hours",
        "7d": "7 days",
        "30d": "30 days",
        "60d": "60 days",
        "1y": "1 year",
        "all": "Since the start",
        "growth": "Growth of 100",
        "line": "100 on the first day, {last} now; lowest {low}, highest {high}",
        "no_line": "The line begins when prices of two days are known.",
        "prices": "All prices: CoinGecko. The oldest one here is of {at} UTC ({age} ago).",
        "no_prices": "No price is known.",
        "gone": "This link does not work. It may have expired, or it was revoked.",
    },
    "id": {
        "title": "Portofolio",
        "skip": "Langsung ke isi",
        "language": "Bahasa",
        "lead": "Hanya dalam persen. Tautan ini tidak menampilkan jumlah uang.",
        "empty": "Portofolio ini kosong.",
        "allocation": "Alokasi",
        "others": "{count} aset yang lebih kecil: {part}",
        "no_price": "tanpa harga",
        "returns": "Imbal hasil tertimbang waktu",
        "period": "Periode",
        "portfolio": "Portofolio",
        "returns_note": "Dalam dolar AS. Uang yang disetor atau ditarik tidak dihitung. "
        "Tanda pisah: ada harga yang tidak diketahui, atau periode dimulai dari setoran pertama.",
        "24h": "24 jam",
        "7d": "7 hari",
        "30d": "30 hari",
        "60d": "60 hari",
        "1y": "1 tahun",
        "all": "Sejak awal",
        "growth": "Pertumbuhan dari 100",
        "line": "100 pada hari pertama, sekarang {last}; terendah {low}, tertinggi {high}",
        "no_line": "Grafik muncul setelah harga dua hari diketahui.",
        "prices": "Semua harga: CoinGecko. Yang tertua di sini dari {at} UTC ({age} yang lalu).",
        "no_prices": "Belum ada harga yang diketahui.",
        "gone": "Tautan ini tidak berfungsi. Mungkin sudah kedaluwarsa atau dicabut.",
    },
}
DURATION_UNITS: Mapping[str, str] = {"min": "menit", "h": "jam", "d": "hari", "s": "detik"}
