"""The texts of all messages in Indonesian."""

from __future__ import annotations

TEXTS = {
    "panic": "{coin} turun {move} dari puncaknya",
    "reversal": "{coin} naik {move} dari titik terendahnya",
    "panic_week": "{coin} turun {move} dari puncak minggu ini",
    "reversal_week": "{coin} naik {move} dari titik terendah minggu ini",
    "panic_peg": "{coin} {move} di bawah US$1",
    "reversal_peg": "{coin} {move} di atas US$1",
    "peg_again": "{coin} kembali mendekati US$1",
    "panic_outage": (
        "Puncak itu dari sebelum jeda tanpa harga: penurunan ini mungkin sudah berjam-jam lalu."
    ),
    "reversal_outage": (
        "Titik itu dari sebelum jeda tanpa harga: kenaikan ini mungkin sudah berjam-jam lalu."
    ),
    "panic_mark": "Puncak: {price} pada {time}",
    "reversal_mark": "Titik terendah: {price} pada {time}",
    "price": "Harga: {value}",
    "in_rupiah": "Dalam rupiah: {value}",
    "day_change": "Dalam 24 jam: {change}",
    "unusual": "Ini tidak biasa untuk koin ini: peringatannya mulai dari {threshold}.",
    "panic_level": "Ini peringatan ke-{level} dalam penurunan ini.",
    "reversal_level": "Ini peringatan ke-{level} dalam kenaikan ini.",
    "reason_panic": (
        "Turun {move} dalam {time} dari puncaknya {price}, harga tertinggi {span}; peringatannya "
        "mulai dari {threshold}"
    ),
    "reason_reversal": (
        "Naik {move} dalam {time} dari titik terendahnya {price}, harga terendah {span}; "
        "peringatannya mulai dari {threshold}"
    ),
    "reason_panic_peg": (
        "Berada {move} di bawah patokannya {price}; peringatannya mulai dari {threshold}"
    ),
    "reason_reversal_peg": (
        "Berada {move} di atas patokannya {price}; peringatannya mulai dari {threshold}"
    ),
    "reason_peg_again": (
        "Kembali ke patokannya: {move} dari {price}, harga yang paling jauh darinya."
    ),
    "reason_level": ", dan ini peringatan ke-{level} dalam pergerakan itu",
    "span_window": "dalam {window} terakhir",
    "span_week": "dalam seminggu",
    "span_outage": "sebelum jeda tanpa harga",
    "span_peg": "",
    "holding": "Anda memiliki {quantity} {symbol}: {value}, {change} sejak titik itu",
    "holding_at_peg": (
        "Anda memiliki {quantity} {symbol}: {value}, {change} dibanding US$1 per koin"
    ),
    "holding_value": "Anda memiliki {quantity} {symbol}: {value}",
    "no_rate": "kurs belum tersedia",
    "follow_up_one": "{coin}, sehari setelah peringatan: {change}",
    "follow_up_many": "Sehari setelah {count} peringatan",
    "follow_up_panic": (
        "{symbol} turun {move} ke {price} pada {time}. Sehari kemudian: {later} ({change})"
    ),
    "follow_up_reversal": (
        "{symbol} naik {move} ke {price} pada {time}. Sehari kemudian: {later} ({change})"
    ),
    "market_panic": "Seluruh pasar: {count} dari {watched} koin yang dipantau turun",
    "market_reversal": "Seluruh pasar: {count} dari {watched} koin yang dipantau naik",
    "target_above": "{name} ({symbol}) mencapai target Anda: {line} atau lebih",
    "target_below": "{name} ({symbol}) mencapai target Anda: {line} atau kurang",
    "target_above_late": "{name} ({symbol}) sempat mencapai target Anda: {line} atau lebih",
    "target_below_late": "{name} ({symbol}) sempat mencapai target Anda: {line} atau kurang",
    "target_late": "Terlewati pada {time}, di harga {price}. Ini terlambat diketahui.",
    "target_repeats": "Target ini berulang. Target menunggu sampai harga kembali.",
    "price_now": "Harga sekarang: {value}",
    "within": "Dalam {minutes} menit koin-koin ini bergerak di luar kebiasaan:",
    "more": "dan {count} koin lainnya",
    "backup_failed": "Market Sentinel: pencadangan gagal",
    "backup_failed_body": (
        "{problem}\nCadangan terverifikasi terakhir: {last}. Tidak ada cadangan lama yang dihapus."
    ),
    "no_prices": "Market Sentinel: tidak ada harga selama {minutes} menit",
    "no_prices_body": (
        "{problem}\nHarga terakhir: {begin}. Tanpa harga baru tidak ada peringatan."
    ),
    "no_newer_price": "CoinGecko menjawab, tetapi tidak mengirim harga yang lebih baru.",
    "prices_again": "Market Sentinel: harga masuk lagi, {minutes} menit terlewat",
    "prices_again_body": (
        "Tidak ada harga dari {begin} sampai {end}. Harga yang diisi kemudian tidak memicu "
        "peringatan."
    ),
    "target_fails": "Market Sentinel: {label} tidak menerima pesan",
    "target_fails_body": (
        "{error}\nPesan yang menunggu: {waiting}, yang tertua sejak {begin}. Periksa "
        "ALERT_URLS, TELEGRAM_BOT_TOKEN dan TELEGRAM_CHAT_ID."
    ),
    "target_works": "Market Sentinel: {label} menerima pesan lagi",
    "target_works_body": (
        "Tidak ada pesan yang diterima dari {begin} sampai {end}. Pesan itu dikirim sekarang."
    ),
    "disk_full": "Market Sentinel: ruang penyimpanan hampir habis",
    "disk_full_body": (
        "Sisa ruang di folder data {free} GB ({share}). Harga dan peringatan berhenti jika "
        "ruang habis: hapus berkas di sana, atau pindahkan folder ke disk yang lebih besar."
        "\n{end}"
    ),
    "disk_free": "Market Sentinel: ruang penyimpanan cukup lagi",
    "disk_free_body": (
        "Sisa ruang {free} GB ({share}). Ruang hampir habis dari {begin} sampai {end}."
    ),
    "schedule_silent": "Market Sentinel: tidak ada proses terjadwal selama {hours} jam",
    "schedule_silent_body": (
        "Proses terakhir: {begin}. Periksa jadwalnya: GitHub mungkin menonaktifkan workflow "
        "(halaman Actions)."
    ),
    "schedule_again": "Market Sentinel: proses terjadwal berjalan lagi, {hours} jam terlewat",
    "schedule_again_body": "Tidak ada proses terjadwal dari {begin} sampai {end}.",
    "not_published": "Market Sentinel: status tidak lagi dipublikasikan",
    "not_published_body": (
        "{problem}\nHalaman publik menampilkan angka lama dari monitor ini sejak {begin}. Periksa "
        "SENTINEL_PUBLISH_URL: make doctor."
    ),
    "published_again": "Market Sentinel: status dipublikasikan lagi",
    "published_again_body": "Tidak ada yang dipublikasikan dari {begin} sampai {end}.",
    "rejections": "Market Sentinel: koin yang ditolak atau hilang lebih banyak dari biasanya",
    "rejections_body": (
        "Dalam 24 jam terakhir:\n{reasons}\nData dari CoinGecko: python -m pipeline.quarantine list"
    ),
    "failing_coins": "- {reason}: {coins} dari {requested} koin, biasanya {usual}",
    "rejections_end": "Market Sentinel: jumlah koin yang ditolak atau hilang kembali normal",
    "rejections_end_body": "Jumlahnya lebih banyak dari {begin} sampai {end}.",
    "run_warnings": "Market Sentinel: proses terjadwal memberi peringatan",
    "summary": "Ringkasan harian, {time}",
    "summary_late": "Ringkasan harian, {time} (terlambat: dijadwalkan {planned})",
    "summary_priced_at": "Harga per {time}",
    "summary_net_worth": "Nilai portofolio: {value}",
    "summary_rupiah": "Dalam rupiah: {value}",
    "summary_no_rate": "Dalam rupiah: tidak diketahui, tidak ada kurs dari 24 jam terakhir",
    "summary_change": "{value}, {change} dalam 24 jam",
    "summary_without": "Tanpa {coins}: tidak ada harga dari 24 jam terakhir",
    "summary_without_change": "Perubahan tanpa {coins}: tidak ada harga 24 jam yang lalu",
    "summary_rises": "Kenaikan terbesar dalam 24 jam: {moves}",
    "summary_falls": "Penurunan terbesar dalam 24 jam: {moves}",
    "summary_stale": "harga pukul {time}",
    "summary_alerts": "Peringatan dalam 24 jam: {count}",
    "summary_alerts_none": "Peringatan dalam 24 jam: tidak ada",
    "summary_alerts_before": "Peringatan hari sebelumnya: {count}",
    "summary_fall": "{symbol} turun {move} pukul {time}",
    "summary_rise": "{symbol} naik {move} pukul {time}",
    "summary_higher_now": "sekarang {change} lebih tinggi",
    "summary_lower_now": "sekarang {change} lebih rendah",
    "summary_unchanged_now": "sekarang tidak berubah",
    "summary_higher_later": "{change} lebih tinggi sehari kemudian",
    "summary_lower_later": "{change} lebih rendah sehari kemudian",
    "summary_unchanged_later": "tidak berubah sehari kemudian",
    "summary_target_above": "Target harga tercapai: {symbol} di atas {price} pukul {time}",
    "summary_target_below": "Target harga tercapai: {symbol} di bawah {price} pukul {time}",
    "summary_runs": "Proses dalam 24 jam: {delivered} dari {expected}, jeda terpanjang {pause}",
    "summary_history": (
        "Riwayat harga seminggu terakhir: {observed_share} diamati, {backfilled_share} diisi "
        "kemudian, {open_share} tidak ada"
    ),
    "summary_quotas": "Kuota: semua cukup sampai akhir bulan, tertinggi: {quotas}",
    "summary_quotas_exceeded": "Kuota yang perlu dipantau: {quotas} pada akhir bulan",
    "neon_compute_hours": "jam komputasi Neon",
    "neon_storage_bytes": "penyimpanan Neon",
    "neon_egress_bytes": "transfer data Neon",
    "coingecko_credits": "kredit CoinGecko",
    "actions_minutes": "menit GitHub Actions",
    "summary_backup": "Cadangan terverifikasi terakhir: {age} yang lalu",
    "summary_healthy": "Kondisi: semuanya baik",
    "summary_problems": "Kondisi: perlu perhatian",
    "late": "Terlambat ({time}): {title}",
    "digest_alerts": "Selama Anda pergi: {count} peringatan",
    "digest_messages": "Selama Anda pergi: {count} pesan",
    "digest_head": "Dari {begin} sampai {end}, yang terakhir untuk tiap koin:",
    "digest_count": "{count} pesan",
    "digest_price": "sekarang {price}",
    "digest_more": "dan {count} lainnya",
    "none": "belum ada",
    "button_mute": "Senyapkan 1 hari",
    "button_why": "Mengapa?",
    "button_chart": "Grafik",
    "test": "Market Sentinel: pesan uji",
    "test_body": "Kanal ini berfungsi. Peringatan akan tiba di sini.",
}
