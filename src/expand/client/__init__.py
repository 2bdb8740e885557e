"""The budgeted client: from an order to an answer that is paid for, stored, and never bought twice."""
