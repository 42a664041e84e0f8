//! Codes of languages.

/// The code as Squidex keeps it: in its own case if it knows the language, else as it stands, because users
/// can configure others.
pub(super) fn canonical(code: &str) -> String {
    known(code).unwrap_or(code).to_owned()
}

/// The known language with this code in any case.
#[cold]
pub(super) fn known(code: &str) -> Option<&'static str> {
    LANGUAGES.split(' ').find(|known| known.eq_ignore_ascii_case(code))
}

/// The languages that Squidex knows, each alone and in countries. All codes have the same case, on which
/// partitions rely.
pub(super) const LANGUAGES: &str = "\
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cv cy da de dv \
    dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz id ig ii \
    ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh \
    mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv oj om or pa pi pl ps pt qu rm rn ro ru rw sa \
    sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk \
    ur uz ve vi vo wa wo xh yi yo za zh zu aa-DJ aa-ER aa-ET af-NA af-ZA ak-GH am-ET ar-AE ar-BH ar-DJ \
    ar-DZ ar-EG ar-ER ar-IL ar-IQ ar-JO ar-KM ar-KW ar-LB ar-LY ar-MA ar-MR ar-OM ar-PS ar-QA ar-SA \
    ar-SD ar-SO ar-SS ar-SY ar-TD ar-TN ar-YE as-IN ba-RU be-BY bg-BG bn-BD bn-IN bo-CN bo-IN br-FR \
    ca-AD ca-ES ca-FR ca-IT ce-RU co-FR cs-CZ cy-GB da-DK da-GL de-AT de-BE de-CH de-DE de-IT de-LI \
    de-LU dv-MV dz-BT ee-GH ee-TG el-CY el-GR en-AG en-AI en-AS en-AT en-AU en-BB en-BE en-BI en-BM \
    en-BS en-BW en-BZ en-CA en-CC en-CH en-CK en-CM en-CX en-CY en-DE en-DK en-DM en-ER en-FI en-FJ \
    en-FK en-FM en-GB en-GD en-GG en-GH en-GI en-GM en-GU en-GY en-HK en-IE en-IL en-IM en-IN en-IO \
    en-JE en-JM en-KE en-KI en-KN en-KY en-LC en-LR en-LS en-MG en-MH en-MO en-MP en-MS en-MT en-MU \
    en-MW en-MY en-NA en-NF en-NG en-NL en-NR en-NU en-NZ en-PG en-PH en-PK en-PN en-PR en-PW en-RW \
    en-SB en-SC en-SD en-SE en-SG en-SH en-SI en-SL en-SS en-SX en-SZ en-TC en-TK en-TO en-TT en-TV \
    en-TZ en-UG en-UM en-US en-VC en-VG en-VI en-VU en-WS en-ZA en-ZM en-ZW es-AR es-BO es-BR es-BZ \
    es-CL es-CO es-CR es-CU es-DO es-EC es-ES es-GQ es-GT es-HN es-MX es-NI es-PA es-PE es-PH es-PR \
    es-PY es-SV es-US es-UY es-VE et-EE eu-ES fa-IR fi-FI fo-DK fo-FO fr-BE fr-BF fr-BI fr-BJ fr-BL \
    fr-CA fr-CD fr-CF fr-CG fr-CH fr-CI fr-CM fr-DJ fr-DZ fr-FR fr-GA fr-GF fr-GN fr-GP fr-GQ fr-HT \
    fr-KM fr-LU fr-MA fr-MC fr-MF fr-MG fr-ML fr-MQ fr-MR fr-MU fr-NC fr-NE fr-PF fr-PM fr-RE fr-RW \
    fr-SC fr-SN fr-SY fr-TD fr-TG fr-TN fr-VU fr-WF fr-YT fy-NL ga-IE gd-GB gl-ES gn-PY gu-IN gv-IM \
    he-IL hi-IN hr-BA hr-HR hu-HU hy-AM id-ID ig-NG ii-CN is-IS it-CH it-IT it-SM it-VA iu-CA ja-JP \
    ka-GE ki-KE kk-KZ kl-GL km-KH kn-IN ko-KP ko-KR kw-GB ky-KG lb-LU lg-UG ln-AO ln-CD ln-CF ln-CG \
    lo-LA lt-LT lu-CD lv-LV mg-MG mi-NZ mk-MK ml-IN mn-MN mr-IN ms-BN ms-MY ms-SG mt-MT my-MM nb-NO \
    nb-SJ nd-ZW ne-IN ne-NP nl-AW nl-BE nl-BQ nl-CW nl-NL nl-SR nl-SX nn-NO nr-ZA om-ET om-KE or-IN \
    pa-IN pl-PL ps-AF pt-AO pt-BR pt-CH pt-CV pt-GQ pt-GW pt-LU pt-MO pt-MZ pt-PT pt-ST pt-TL rm-CH \
    rn-BI ro-MD ro-RO ru-BY ru-KG ru-KZ ru-MD ru-RU ru-UA rw-RW sa-IN se-FI se-NO se-SE sg-CF si-LK \
    sk-SK sl-SI so-DJ so-ET so-KE so-SO sq-AL sq-MK sq-XK ss-SZ ss-ZA st-LS st-ZA sv-AX sv-FI sv-SE \
    sw-CD sw-KE sw-TZ sw-UG ta-IN ta-LK ta-MY ta-SG te-IN th-TH ti-ER ti-ET tk-TM tn-BW tn-ZA to-TO \
    tr-CY tr-TR ts-ZA tt-RU ug-CN uk-UA ur-IN ur-PK ve-ZA vi-VN wo-SN xh-ZA yo-BJ yo-NG zh-CN zh-SG \
    zh-HK zh-MO zh-TW zu-ZA";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_squidex_knows_has_one_form() {
        for (code, canonical_code) in [
            ("de", "de"),
            ("DE", "de"),
            ("PT-br", "pt-BR"),
            ("", ""),
            ("Klingon", "Klingon"),
            ("de-1A", "de-1A"),
            ("zh-Hans", "zh-Hans"),
            ("é", "é"),
        ] {
            assert_eq!(canonical(code), canonical_code);
        }
    }
}
