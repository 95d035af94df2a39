"""The elements of card JSON 2.0, the parts inside them, and the properties each may have.

Rules of this file: tables only. A name that is not here is an error for the platform.

Source: fact sheet 3.1, 3.4 and 3.5, and the platform's component pages that it names.
"""

from __future__ import annotations


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


COMMON = _names("tag element_id margin")
LAYOUT = _names("direction padding horizontal_spacing horizontal_align vertical_spacing vertical_align")
INTERACTIVE = _names("name required disabled disabled_tips confirm behaviors value fallback")
PICKER = INTERACTIVE | _names("type placeholder width options initial_option initial_index selected_values")
BUTTON = _names("type size width text icon hover_tips form_action_type")
PANEL = _names("elements expanded background_color header border")
COLUMN = _names("width weight background_style elements action")
CONTAINER = _names("elements width height background_style has_border border_color corner_radius hover_tips")
COLUMNS = _names("flex_mode horizontal_spacing horizontal_align background_style columns action")
INPUT = _names(
    "placeholder default_value width max_length input_type show_icon rows auto_resize max_rows label label_position"
)
TABLE = _names("page_size row_height row_max_height header_style columns rows freeze_first_column")
IMAGE = _names("img_key alt title corner_radius scale_type size transparent preview")
CHECKER = _names("text checked overall_checkable button_area checked_style hover_tips")
DATE = _names("placeholder width initial_date initial_time initial_datetime")

ELEMENTS: dict[str, frozenset[str]] = {
    "markdown": _names("content text_size text_align icon i18n_content"),
    "div": _names("text icon width fields"),
    "hr": frozenset(),
    "img": IMAGE,
    "img_combination": _names("combination_mode combination_transparent corner_radius img_list"),
    "person": _names("user_id size show_avatar show_name style"),
    "person_list": _names("persons size show_avatar show_name lines drop_invalid_user_id icon"),
    "chart": _names("chart_spec aspect_ratio color_theme preview height"),
    "table": TABLE,
    "button": BUTTON | INTERACTIVE,
    "input": INPUT | INTERACTIVE,
    "select_static": PICKER,
    "multi_select_static": PICKER,
    "select_person": PICKER,
    "multi_select_person": PICKER,
    "select_img": PICKER | _names("style multi_select layout can_preview aspect_ratio"),
    "overflow": PICKER,
    "date_picker": DATE | INTERACTIVE,
    "picker_time": DATE | INTERACTIVE,
    "picker_datetime": DATE | INTERACTIVE,
    "checker": CHECKER | INTERACTIVE,
    "column_set": COLUMNS,
    "form": _names("name elements") | LAYOUT,
    "collapsible_panel": PANEL | LAYOUT,
    "interactive_container": CONTAINER | INTERACTIVE | LAYOUT,
}
"""Elements and their properties, beside the common ones."""
PARTS: dict[str, frozenset[str]] = {
    "plain_text": _names("content i18n_content text_size text_color text_align lines"),
    "lark_md": _names("content i18n_content text_size text_color text_align lines"),
    "column": COLUMN | LAYOUT,
    "standard_icon": _names("token color size"),
    "custom_icon": _names("img_key size"),
    "text_tag": _names("text color"),
}
"""Objects with a tag that stand inside an element."""
OBJECTS: dict[str, frozenset[str]] = {
    "card": _names("schema config card_link header body"),
    "config": _names(
        "streaming_mode streaming_config summary locales enable_forward update_multi width_mode style "
        "use_custom_translation enable_forward_interaction"
    ),
    "streaming_config": _names("print_frequency_ms print_step print_strategy"),
    "summary": _names("content i18n_content"),
    "body": LAYOUT | {"elements"},
    "header": _names("title subtitle text_tag_list i18n_text_tag_list template icon padding"),
    "callback": _names("type value"),
    "open_url": _names("type default_url android_url ios_url pc_url"),
    "option": _names("text value icon"),
    "confirm": _names("title text"),
}
INTERACTIVE_TAGS = frozenset(tag for tag, names in ELEMENTS.items() if "behaviors" in names)
FREE = frozenset({"chart_spec", "i18n_content", "value", "style", "header_style", "columns", "rows", "fallback"})
"""Properties whose inside is not looked at (``columns`` only of a table)."""
