"""Pages of lists: `?page=` and `?page_size=` (50, at most 500)."""

from rest_framework import pagination


class PageNumberPagination(pagination.PageNumberPagination):
    """Counts, next and previous links, results."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
