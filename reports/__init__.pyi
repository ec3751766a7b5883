from .errors import ReportError as ReportError, SectionError as SectionError
from .multi_run.join import join as join
from .plots import Plots as Plots
from .report import (
    FORMATS as FORMATS,
    Report as Report,
    make_report as make_report,
    render_html as render_html,
    write_html as write_html,
)
